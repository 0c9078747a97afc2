"""What can happen to a file: each damage takes a file's path and random numbers, and replaces or deletes the file."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sentiment.training.checkpoint import read_checkpoint, write_checkpoint

_JSON_VALUES = (None, True, -1, 7.5, 10**30, "x", "2024", [], ["x"], {}, {"x": 1})


def replace(path: Path, content: bytes) -> None:
    path.unlink()  # the original is a link to the same file
    path.write_bytes(content)


def truncate(path: Path, rng: random.Random) -> None:
    content = path.read_bytes()
    replace(path, content[: rng.randrange(len(content) + 1)])


def _flip(path: Path, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    if content:
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    replace(path, content)


def _other_json(path: Path, rng: random.Random) -> None:
    replace(path, json.dumps(rng.choice(_JSON_VALUES)).encode() + b"\n")


def _sibling(path: Path, rng: random.Random) -> None:
    """The file of the same name in another directory, or of the same kind in this one."""
    root = next(parent for parent in path.parents if parent.name == "results")
    others = [other for other in root.rglob(f"*{path.suffix}") if other.is_file() and other != path]
    namesakes = [other for other in others if other.name == path.name]
    if candidates := sorted(namesakes or others):
        replace(path, rng.choice(candidates).read_bytes())


def _change_field(path: Path, rng: random.Random) -> None:
    """Give a field another type, or delete it, in a record, in a line of a log, or in a checkpoint."""
    if path.suffix == ".ckpt":
        _change_checkpoint(path, rng)
        return
    lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
    number = rng.randrange(len(lines))
    prefix, brace, rest = lines[number].partition("{")  # a submission's configurations stand behind their ids
    if not brace:
        return
    value = json.loads(brace + rest)
    _change_value(value, rng)
    lines[number] = prefix + json.dumps(value)
    replace(path, "".join(line + "\n" for line in lines).encode())


def _change_value(value: Any, rng: random.Random) -> None:
    """Change something inside a value of dictionaries and lists, at any depth."""
    keys: list[Any] = list(value) if isinstance(value, dict) else list(range(len(value)))
    if not keys:
        return
    key = rng.choice(keys)
    if isinstance(value[key], dict | list) and value[key] and rng.random() < 0.7:
        _change_value(value[key], rng)
    elif rng.random() < 0.2:
        del value[key]
    else:
        value[key] = rng.choice([other for other in _JSON_VALUES if type(other) is not type(value[key])])


def _change_checkpoint(path: Path, rng: random.Random) -> None:
    """Write a checkpoint whose checksum is right and whose content is not."""
    state = read_checkpoint(path)
    for _ in range(rng.randrange(1, 3)):
        _change_value(state, rng)
    path.unlink()
    write_checkpoint(path, state)


ALWAYS: dict[str, Callable[[Path, random.Random], None]] = {
    "truncated": truncate,
    "bit flipped": _flip,
    "emptied": lambda path, _: replace(path, b""),
    "deleted": lambda path, _: path.unlink(),
    "of another": _sibling,
}
STRUCTURED = {"field changed": _change_field, "other JSON": _other_json}


def choose_damage(path: Path, rng: random.Random) -> tuple[str, Callable[[Path, random.Random], None]]:
    """A damage that fits a kind of file; records are changed by their fields as often as by all other ways."""
    if path.suffix in (".json", ".jsonl", ".ckpt") and rng.random() < 0.5:
        return rng.choice([*STRUCTURED.items()])
    return rng.choice([*ALWAYS.items()])
