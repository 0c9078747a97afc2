"""Records and rows of logs as they stand in files: whatever is in a file, it is valid or named as damaged."""

import contextlib
import json
import math
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from sentiment.characters import visible
from sentiment.errors import RunDirError
from sentiment.files import open_named, read_named
from sentiment.records import PARTS, SCHEMA_VERSION, Record

R = TypeVar("R", bound=Record)

_MOST_BYTES = 100_000_000
_MISTAKES = 3


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        RunDirError: it cannot be read.
    """
    try:
        with open_named(path) as file:
            return file.read().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RunDirError(f"{path}: cannot be read: {error}") from None


def read_record(path: Path, kind: type[R]) -> R | None:
    """The record in a JSON file; None if there is no file.

    Raises:
        RunDirError: it cannot be read, is not a record of this kind, or is one of another version.
    """
    try:
        content = read_named(path, _MOST_BYTES)
    except FileNotFoundError:  # not asked beforehand, since another process may delete the file at any time
        return None
    except OSError as error:
        raise RunDirError(f"{path}: cannot be read: {error}") from None
    return parse_record(content, kind, str(path))


def parse_record(content: bytes, kind: type[R], place: str) -> R:
    """The record in some JSON.

    Args:
        place: where it was, for messages.

    Raises:
        RunDirError: it is not a record of this kind, or is one of another version.
    """
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        found = _version_in(content)
        if found not in (None, SCHEMA_VERSION):
            told = visible(str(found))[:20]
            raise RunDirError(f"{place}: has schema version {told}, this program reads {SCHEMA_VERSION}") from None
        raise RunDirError(f"{place}: is not a valid record: {in_a_line(error)}") from None


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The complete lines of a file of JSON rows; none if there is no file.

    Raises:
        RunDirError: the file cannot be read, or a line is not a JSON object.
    """
    lines = read_text(path).split("\n")[:-1] if path.exists() else []
    try:
        return [_object(json.loads(line)) for line in lines]
    except (ValueError, RecursionError) as error:
        raise RunDirError(f"{path}: has a line that is not JSON: {error}") from None


def read_whole_rows(path: Path) -> list[dict[str, Any]]:
    """The same without lines that are damaged, for what may lose a row."""
    rows = []
    for line in path.read_bytes().splitlines() if path.exists() else ():
        with contextlib.suppress(ValueError, RecursionError):
            rows.append(_object(json.loads(line)))
    return rows


def check_log_row(row: Any) -> dict[str, Any]:
    """A row of the metric log, if it is one: a step or an epoch, with numbers where numbers belong.

    Raises:
        ValueError: says what is wrong with it.
    """
    fields = _object(row)
    for name in ("step", "epoch"):
        if type(fields.get(name)) is not int or fields[name] < 0:
            raise ValueError(f"{name} is {fields.get(name)!r}, not a whole number")
    for part in PARTS:
        for name, score in _object(fields.get(part, {})).items():
            most = math.inf if name in ("n", "loss") else 1
            if not isinstance(score, int | float) or not 0 <= score <= most or math.isinf(score):
                raise ValueError(f"{part}.{name} after step {fields['step']} is {score!r}")
    return fields


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"a row is {str(value)[:40]!r}, not an object")
    return value


def _version_in(content: bytes) -> Any:
    try:
        return json.loads(content).get("schema_version")
    except (ValueError, AttributeError, RecursionError):
        return None


def in_a_line(error: ValidationError) -> str:
    """The first few mistakes in a record."""
    found = [f"{'.'.join(map(str, one['loc'])) or 'the record'}: {one['msg']}" for one in error.errors()]
    return "; ".join(found[:_MISTAKES]) + (f"; and {len(found) - _MISTAKES} more" if len(found) > _MISTAKES else "")
