"""YAML files and overrides such as `model.layers=2` become a RunConfig; all mistakes are reported at once."""

import contextlib
import difflib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from sentiment.config import RunConfig
from sentiment.errors import ConfigError


def load_config(path: Path, overrides: Iterable[str] = ()) -> RunConfig:
    """Resolve the YAML file of a run with overrides such as `model.hidden_size=32`.

    Raises:
        ConfigError: the file is missing or not YAML, or values do not fit the schema; all mistakes in one message.
    """
    parameters = dict(parse_override(override) for override in overrides)
    return resolve(read_yaml(path), parameters, str(path))


def resolve(values: Mapping[str, Any], parameters: Mapping[str, Any], origin: str) -> RunConfig:
    """Check nested `values` with `parameters` laid over them, and return the canonical configuration.

    Args:
        parameters: values by dotted name.
        origin: the file that `values` come from, for messages.

    Raises:
        ConfigError: names the dotted path, value and origin of each mistake, and what would be valid.
    """
    return as_written(values, parameters, origin).canonical()


def as_written(values: Mapping[str, Any], parameters: Mapping[str, Any], origin: str) -> RunConfig:
    """Like `resolve`, but with fields without effect and paths as they are spelled, as earlier versions read them."""
    try:
        merged = _deep_copy(values)
    except RecursionError:
        raise ConfigError(f"{origin}: an anchor refers to itself") from None
    for key, value in parameters.items():
        _set(merged, key, value)
    try:
        return RunConfig.model_validate(merged)
    except ValidationError as error:
        raise ConfigError(explain(error, RunConfig, origin, parameters)) from None


def explain(
    error: ValidationError, schema: type[BaseModel], origin: str, parameters: Collection[str] = frozenset()
) -> str:
    """A line for each mistake: its dotted path, value and origin, and what would be valid.

    Args:
        schema: what the values were checked against.
        origin: the file that the values come from.
        parameters: dotted names of values that come from an override instead.
    """
    return "\n".join(_explain(detail, schema, origin, parameters) for detail in error.errors())


def dotted(section: Mapping[str, Any], separator: str = ".") -> dict[str, Any]:
    """The values of nested sections by dotted name, such as `model.hidden_size`."""
    values: dict[str, Any] = {}
    for name, value in section.items():
        if isinstance(value, Mapping):
            inner = dotted(value, separator)
            values |= {f"{name}{separator}{field}": number for field, number in inner.items()}
        else:
            values[name] = value
    return values


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML 1.2 mapping, in which `1e-3` is a number and duplicate keys are refused.

    Raises:
        ConfigError: the file is missing, cannot be read, or is not a YAML mapping.
    """
    try:
        values = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file{_neighbours(path)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    except (YAMLError, ValueError) as error:  # ValueError: an impossible date
        raise ConfigError(f"{path}: is not valid YAML: {error}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: must hold a mapping of sections, found {type(values).__name__}")
    return values


def parse_override(override: str) -> tuple[str, Any]:
    """Split an override such as `a.b=v` into the dotted name and the value, which is read as YAML.

    Raises:
        ConfigError: there is no `=` or no name, or the value is not YAML.
    """
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {override!r}: must look like section.field=value, for example model.hidden_size=32")
    try:
        return key.strip(), YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError) as error:  # ValueError: an impossible date
        raise ConfigError(f"--set {override!r}: the value is not valid YAML: {error}") from None


def yaml_text(value: Any) -> str:
    """A plain value as `parse_override` reads it back; text stays without quotes where that is possible."""
    if isinstance(value, str):
        with contextlib.suppress(YAMLError, ValueError):
            if YAML(typ="safe", pure=True).load(value) == value:
                return value
    return json.dumps(value, ensure_ascii=False)


def _neighbours(path: Path) -> str:
    names = sorted(other.stem for other in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
    return f"; {path.parent} has: {', '.join(names)}" if names else ""


def _deep_copy(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _deep_copy(value) if isinstance(value, Mapping) else value for key, value in values.items()}


def _set(values: dict[str, Any], dotted: str, value: Any) -> None:
    *sections, field = dotted.split(".")
    for section in sections:
        inner = values.setdefault(section, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {dotted}={value}: {section!r} is a value, not a section")
        values = inner
    values[field] = value


def _explain(detail: ErrorDetails, schema: type[BaseModel], origin: str, parameters: Collection[str]) -> str:
    path = ".".join(str(part) for part in detail["loc"])
    place = "an override" if any(path == key or path.startswith(f"{key}.") for key in parameters) else origin
    if detail["type"] == "extra_forbidden":
        return f"{path}: unknown key ({place}){_known_keys(detail['loc'], schema)}"
    if detail["type"] == "missing":
        return f"{path}: is missing ({place})"
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "value_error":
        return f"{path or 'the configuration'}: {message} ({place})"
    return f"{path} = {detail['input']!r} ({place}): {message[:1].lower()}{message[1:]}"


def _known_keys(location: tuple[int | str, ...], section: type[BaseModel]) -> str:
    for part in location[:-1]:
        if part in section.model_fields:  # else it is a key in a mapping of sections
            section = next(_sections_in(section.model_fields[str(part)].annotation))
    names = list(section.model_fields)
    close = difflib.get_close_matches(str(location[-1]), names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"{hint} Valid: {', '.join(names)}" if hint else f"; valid: {', '.join(names)}"


def _sections_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _sections_in(inner)
