"""Build a RunConfig from YAML files and overrides such as `model.layers=2`; all mistakes are reported at once."""

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

from sentiment.config import RunConfig, Values
from sentiment.errors import ConfigError, in_one_line, shortened
from sentiment.files import read_user_file, shipped_file
from sentiment.version import STAMP_KEY, check_stamp

_MAX_BYTES = 100_000
_MAX_NODES = 100_000


def resolve(values: Mapping[str, Any], parameters: Mapping[str, Any], origin: str) -> RunConfig:
    """Apply `parameters` (by dotted name) to nested `values` and return the canonical configuration.

    Raises:
        ConfigError: names the dotted path, value and `origin` of each mistake, and what would be valid.
    """
    for name, value in parameters.items():
        values = _with_value(values, name.split("."), value)
    try:
        return RunConfig.model_validate(values).canonical()
    except ValidationError as error:
        raise ConfigError(describe_mistakes(error, RunConfig, origin, parameters)) from None


def describe_mistakes(
    error: ValidationError, schema: type[BaseModel], origin: str, parameters: Collection[str] = frozenset()
) -> str:
    """One line per mistake: its dotted path, value and origin, and what would be valid."""
    return "\n".join(_explain(detail, schema, origin, parameters) for detail in error.errors())


def dotted(section: Mapping[str, Any], separator: str = ".") -> Values:
    """The values of nested sections by dotted name, such as `model.hidden_size`."""
    values: Values = {}
    for name, value in section.items():
        if isinstance(value, Mapping):
            for inner_name, inner_value in dotted(value, separator).items():
                values[f"{name}{separator}{inner_name}"] = inner_value
        else:
            values[name] = value
    return values


def read_yaml(path: Path) -> Values:
    """Read a YAML 1.2 mapping, in which `1e-3` is a number and duplicate keys are an error.

    Outside a clone, a missing file in `configs` is replaced by the shipped one.

    Raises:
        ConfigError: the file cannot be read, or holds something else.
        FormatError: another version wrote it.
    """
    try:
        text = read_user_file(shipped_file(path), _MAX_BYTES).decode("utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file{_available_configs(path)}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not a text in UTF-8; save it as UTF-8") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    values = parse_yaml(text, str(path))
    if not isinstance(values, dict | None):
        raise ConfigError(f"{path}: must hold a mapping of sections, found {type(values).__name__}")
    if values and STAMP_KEY in values:  # the `config.json` of a run
        check_stamp(str(values.pop(STAMP_KEY)), str(path))
    return values or {}


def parse_override(override: str) -> tuple[str, Any]:
    """Split an override such as `a.b=v` into the dotted name and the value, which is read as YAML.

    Raises:
        ConfigError: the override is malformed.
    """
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"{override!r}: must look like section.field=value, for example model.hidden_size=32")
    if text == "None":  # so W&B's agent writes null
        return key.strip(), None
    return key.strip(), parse_yaml(text, repr(shortened(override)))


def parse_overrides(overrides: Sequence[str]) -> Values:
    """The values of overrides by dotted name.

    Raises:
        ConfigError: an override is malformed, or a field is given twice.
    """
    values: Values = {}
    given: dict[str, str] = {}
    for override in overrides:
        name, value = parse_override(override)
        if name in given:
            raise ConfigError(f"{name}: is given twice, by {given[name]} and {override}; give one")
        given[name] = override
        values[name] = value
    return values


def parse_yaml(text: str, origin: str) -> Any:
    """Parse a YAML document of bounded size.

    The limit applies after alias expansion, which protects against YAML bombs.

    Raises:
        ConfigError: names `origin` and what is wrong.
    """
    reader = YAML(typ="safe", pure=True)
    try:
        root = reader.compose(text)
        if root is None:
            return None
        if next(islice(_nodes(root), _MAX_NODES, None), None):
            raise ConfigError(f"{origin}: has more than {_MAX_NODES:,} values after alias expansion")
        return reader.constructor.construct_document(root)
    except RecursionError:
        raise ConfigError(f"{origin}: is nested too deep, or an anchor refers to itself") from None
    except (YAMLError, ValueError, KeyError) as error:  # ValueError: an impossible date; KeyError: `!!bool x`
        raise ConfigError(f"{origin}: is not valid YAML: {_yaml_problem(error)}") from None


def _yaml_problem(error: Exception) -> str:
    """Describe the problem and its position in one line; the library's own message has several lines."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None)
    if mark is None or not problem:
        return in_one_line(error)
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}"


def _nodes(node: Any) -> Iterator[Any]:
    """All nodes of a document, aliases expanded; lazily, since a recursive alias never ends."""
    yield node
    if isinstance(node.value, list):
        for part in node.value:
            children = part if isinstance(part, tuple) else (part,)  # a key and its value, or an item of a list
            for child in children:
                yield from _nodes(child)


def yaml_text(value: Any) -> str:
    """Serialise a plain value so that `parse_override` reads it back; strings are quoted only if necessary."""
    if isinstance(value, str):
        with contextlib.suppress(ConfigError):
            if parse_yaml(value, "") == value:
                return value
    return json.dumps(value, ensure_ascii=False)


def override_options(values: Mapping[str, Any]) -> list[str]:
    """The values of fields, by dotted name, as options of `sentiment`."""
    return [word for name, value in values.items() for word in ("--set", f"{name}={yaml_text(value)}")]


def _available_configs(path: Path) -> str:
    folder = shipped_file(path.parent)
    names = sorted(other.stem for other in folder.glob("*.yaml")) if folder.is_dir() else []
    return f"; {path.parent} has: {', '.join(names)}" if names else ""


def _with_value(values: Mapping[str, Any], name: Sequence[str], value: Any, prefix: str = "") -> Values:
    """A copy of nested `values` in which the field `name` has `value`; `prefix` names the enclosing sections."""
    first, *inner = name
    if not inner:
        return {**values, first: value}
    section = {} if values.get(first) is None else values[first]
    if not isinstance(section, Mapping):
        raise ConfigError(f"{prefix}{'.'.join(name)}={value}: {first!r} is a value, not a section")
    return {**values, first: _with_value(section, inner, value, f"{prefix}{first}.")}


def _explain(detail: ErrorDetails, schema: type[BaseModel], origin: str, parameters: Collection[str]) -> str:
    path = ".".join(map(str, detail["loc"]))
    # Overridden fields inside the section that failed as a whole.
    inner_keys = [key for key in parameters if key.startswith(f"{path}.")]
    if any(f"{path}.".startswith(f"{key}.") for key in parameters):
        origin = "an override"
    elif inner_keys:
        origin = f"overrides of {', '.join(inner_keys)}"
    if detail["type"] == "extra_forbidden":
        return f"{path}: unknown key ({origin}){_known_keys(detail['loc'], schema)}"
    if detail["type"] == "missing":
        return f"{path}: is missing ({origin})"
    if detail["type"] in ("model_type", "dict_type"):
        valid = _known_keys((*detail["loc"], ""), schema) if detail["type"] == "model_type" else ""
        return f"{path} = {shortened(repr(detail['input']))} ({origin}): must hold fields, each as NAME: VALUE{valid}"
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "value_error":
        return f"{path or 'the configuration'}: {message} ({origin})"
    return f"{path or 'the file'} = {shortened(repr(detail['input']))} ({origin}): {message[:1].lower()}{message[1:]}"


def _known_keys(location: tuple[int | str, ...], section: type[BaseModel]) -> str:
    for part in location[:-1]:
        if part in section.model_fields:  # otherwise it is a key in a mapping of sections
            section = next(_sections_in(section.model_fields[str(part)].annotation), section)
    names = list(section.model_fields)
    fields = dotted(RunConfig().model_dump()) if section is RunConfig else ()
    close = [name for name in fields if name.endswith(f".{location[-1]}")]
    close = close or difflib.get_close_matches(str(location[-1]), names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"{hint} Valid: {', '.join(names)}" if hint else f"; valid: {', '.join(names)}"


def _sections_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _sections_in(inner)
