"""YAML files and overrides such as `model.layers=2` become a RunConfig; all mistakes are reported at once."""

import contextlib
import difflib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from sentiment.config import RunConfig
from sentiment.errors import ConfigError
from sentiment.files import read_named, shipped_file

_MOST_BYTES = _MOST_NODES = 100_000


def resolve(values: Mapping[str, Any], parameters: Mapping[str, Any], origin: str) -> RunConfig:
    """The canonical configuration of nested `values` with `parameters`, by dotted name, laid over them.

    Raises:
        ConfigError: names the dotted path, value and `origin` of each mistake, and what would be valid.
    """
    for name, value in parameters.items():
        values = _changed(values, name.split("."), value)
    try:
        return RunConfig.model_validate(values).canonical()
    except ValidationError as error:
        raise ConfigError(explain(error, RunConfig, origin, parameters)) from None


def explain(
    error: ValidationError, schema: type[BaseModel], origin: str, parameters: Collection[str] = frozenset()
) -> str:
    """A line for each mistake: its dotted path, value and origin, and what would be valid."""
    return "\n".join(_explain(detail, schema, origin, parameters) for detail in error.errors())


def dotted(section: Mapping[str, Any], separator: str = ".") -> dict[str, Any]:
    """The values of nested sections by dotted name, such as `model.hidden_size`."""
    values: dict[str, Any] = {}
    for name, value in section.items():
        inner = dotted(value, separator) if isinstance(value, Mapping) else None
        values |= {name: value} if inner is None else {f"{name}{separator}{field}": of for field, of in inner.items()}
    return values


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML 1.2 mapping, in which `1e-3` is a number and duplicate keys are refused; a ConfigError if it is none.

    Outside of a clone, files in `configs` that are not there are those that came with the program.
    """
    try:
        text = read_named(shipped_file(path), _MOST_BYTES).decode("utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file{_neighbours(path)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    values = parse_yaml(text, str(path))
    if not isinstance(values, dict | None):
        raise ConfigError(f"{path}: must hold a mapping of sections, found {type(values).__name__}")
    return values or {}


def parse_override(override: str) -> tuple[str, Any]:
    """The dotted name and the value, read as YAML, of an override such as `a.b=v`; a ConfigError if it is none."""
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"{override!r}: must look like section.field=value, for example model.hidden_size=32")
    if any("\ud800" <= one <= "\udfff" for one in text):
        raise ConfigError(f"{shortened(override)!r}: is not UTF-8; rename what it names")
    return key.strip(), parse_yaml(text, repr(shortened(override)))


def parse_yaml(text: str, place: str, version: tuple[int, int] = (1, 2)) -> Any:
    """A YAML document of bounded size; aliases count as what they stand for, so that a short file cannot be huge."""
    reader = YAML(typ="safe", pure=True)
    if version != (1, 2):
        reader.version = version
    try:
        root = reader.compose(text)
        if root is None:
            return None
        if next(islice(_nodes(root), _MOST_NODES, None), None):
            raise ConfigError(f"{place}: has more than {_MOST_NODES:,} values, those that aliases stand for included")
        return reader.constructor.construct_document(root)
    except RecursionError:
        raise ConfigError(f"{place}: is nested too deep, or an anchor refers to itself") from None
    except (YAMLError, ValueError) as error:  # ValueError: an impossible date
        raise ConfigError(f"{place}: is not valid YAML: {_yaml_problem(error)}") from None


def _yaml_problem(error: Exception) -> str:
    """What is wrong and where, in a line; the library's own message quotes the file and its documentation."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    if mark is None or not problem:
        return " ".join(str(error).split())
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}"


def _nodes(node: Any) -> Iterator[Any]:
    """All values of a document, before aliases and merged mappings are followed, which can take for ever."""
    yield node
    for part in node.value if isinstance(node.value, list) else ():
        for one in part if isinstance(part, tuple) else (part,):
            yield from _nodes(one)


def shortened(text: str, limit: int = 200) -> str:
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text):,} characters)"


def yaml_text(value: Any) -> str:
    """A plain value as `parse_override` reads it back; text stays without quotes where that is possible."""
    if isinstance(value, str):
        with contextlib.suppress(ConfigError):
            if parse_yaml(value, "") == value:
                return value
    return json.dumps(value, ensure_ascii=False)


def _neighbours(path: Path) -> str:
    folder = shipped_file(path.parent)
    names = sorted(other.stem for other in folder.glob("*.yaml")) if folder.is_dir() else []
    return f"; {path.parent} has: {', '.join(names)}" if names else ""


def _changed(values: Mapping[str, Any], name: Sequence[str], value: Any, before: str = "") -> dict[str, Any]:
    first, *inner = name
    if not inner:
        return {**values, first: value}
    section = {} if values.get(first) is None else values[first]
    if not isinstance(section, Mapping):
        raise ConfigError(f"{before}{'.'.join(name)}={value}: {first!r} is a value, not a section")
    return {**values, first: _changed(section, inner, value, f"{before}{first}.")}


def _explain(detail: ErrorDetails, schema: type[BaseModel], origin: str, parameters: Collection[str]) -> str:
    path = ".".join(map(str, detail["loc"]))
    overrides = [key for key in parameters if f"{path}.".startswith(f"{key}.")]
    within = [key for key in parameters if key.startswith(f"{path}.")]  # a mistake in how several fields fit together
    place = "an override" if overrides else f"overrides of {', '.join(within)}" if within else origin
    if detail["type"] == "extra_forbidden":
        return f"{path}: unknown key ({place}){_known_keys(detail['loc'], schema)}"
    if detail["type"] == "missing":
        return f"{path}: is missing ({place})"
    if detail["type"] in ("model_type", "dict_type"):
        valid = _known_keys((*detail["loc"], ""), schema) if detail["type"] == "model_type" else ""
        return f"{path} = {shortened(repr(detail['input']))} ({place}): must hold fields, each as NAME: VALUE{valid}"
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "value_error":
        return f"{path or 'the configuration'}: {message} ({place})"
    return f"{path} = {shortened(repr(detail['input']))} ({place}): {message[:1].lower()}{message[1:]}"


def _known_keys(location: tuple[int | str, ...], section: type[BaseModel]) -> str:
    for part in location[:-1]:
        if part in section.model_fields:  # else it is a key in a mapping of sections
            section = next(_sections_in(section.model_fields[str(part)].annotation))
    names = list(section.model_fields)
    known = dotted(RunConfig().model_dump()) if section is RunConfig else ()
    close = [name for name in known if name.endswith(f".{location[-1]}")]
    close = close or difflib.get_close_matches(str(location[-1]), names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"{hint} Valid: {', '.join(names)}" if hint else f"; valid: {', '.join(names)}"


def _sections_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _sections_in(inner)
