"""Further places of published files, which may outlive those of their publishers: `configs/mirrors.yaml`."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from sentiment.config import Section
from sentiment.config_file import explain, read_yaml
from sentiment.errors import ConfigError
from sentiment.files import named_path
from sentiment.shipped import shipped_file

MIRRORS_FILE = Path("configs/mirrors.yaml")
Places = Annotated[tuple[str, ...], Field(strict=False)]


class Mirrors(Section):
    """Places in the order in which they are tried, before the publishers' own: addresses that begin with `https://`,
    `http://` or `file://`, and folders of this machine."""

    elmo: Places = ()
    """Hold the files of ELMo models, each model's in its own folder as the publishers have them, or all in one."""
    glove: Places = ()
    """Hold the archive `glove.twitter.27B.zip`."""


def read_mirrors(path: Path | None = None) -> Mirrors:
    """The places that a file names; without a path those of `configs/mirrors.yaml`, or none if that is missing.

    Raises:
        ConfigError: there is no such file, or it is not valid.
    """
    if path is None and not shipped_file(MIRRORS_FILE).exists():
        return Mirrors()
    path = path or MIRRORS_FILE
    try:
        return Mirrors.model_validate(read_yaml(path))
    except ValidationError as error:
        raise ConfigError(explain(error, Mirrors, str(path))) from None


def addresses(places: Iterable[str], names: Sequence[str]) -> list[str]:
    """The addresses at which a file may be found: under each of its names in each place."""
    return [f"{_address(place).rstrip('/')}/{name}" for place in places for name in names]


def _address(place: str) -> str:
    return place if "://" in place else named_path(place).resolve().as_uri()
