"""What comes with the program besides this package: `jobs`, `report` and `configs`, in a clone or installed elsewhere.

A clone has them beside this package. An installed wheel has them in `sentiment/programs`, where they are no top-level
names: `jobs` and `report` are words that other people's modules have as well. The commands `sentiment-jobs` and
`sentiment-report` put that folder in front of the places that Python imports from, for their own processes alone.
"""

import importlib
import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""The folder that this program was imported from."""

CONFIGS = Path("configs")

# Commands of a clone, and what they are without one.
_COMMANDS = (
    (r"python -m (jobs|report)(?= |`)", r"sentiment-\1"),
    (r"python -m sentiment(?= |`)", "sentiment"),
    (r"make data DATA=", "sentiment data "),
    (r"make elmo-weights MODELS=", "sentiment elmo-weights "),
    (r"make (data|elmo-weights)(?= |`)", r"sentiment \1"),
    (r", or `make submit GRID=\w+ LOCAL=1`,", ""),
)


def shipped_folder(name: str, root: Path = ROOT) -> Path:
    """The folder of `jobs`, `report` or `configs` in a clone, a copy of the code or an installed wheel."""
    beside = root / name
    return beside if beside.is_dir() else root / "sentiment" / "programs" / name


def shipped_file(path: Path) -> Path:
    """The path itself if there is something, or if it is not in `configs`; else what came with the program instead."""
    if path.is_absolute() or path.parts[:1] != CONFIGS.parts or path.exists():
        return path
    shipped = shipped_folder(CONFIGS.name) / path.relative_to(CONFIGS)
    return shipped if shipped.exists() else path


def config_file(name: Path, folder: str) -> Path:
    """The file that a user names by its path, or by its stem in `configs/runs` or `configs/grids`.

    Args:
        folder: `runs` or `grids`.
    """
    return name if name.suffix or name.is_file() else CONFIGS / folder / f"{name}.yaml"


def as_typed_here(text: str, root: Path = ROOT) -> str:
    """A message with the commands in it as they are typed where the program was installed without a clone.

    There, no `Makefile` is at hand, and Python does not find `jobs` and `report` by itself.
    """
    if shipped_folder("jobs", root).parent == root:
        return text
    for clones, installed in _COMMANDS:
        text = re.sub(clones, installed, text)
    return text


def jobs() -> None:
    """The command `sentiment-jobs`."""
    _start("jobs")


def report() -> None:
    """The command `sentiment-report`."""
    _start("report")


def _start(program: str) -> None:
    folder = str(shipped_folder(program).parent)
    sys.path.insert(0, folder)
    if Path(folder) != ROOT:  # processes that it starts, such as that of the report at the end of a grid, need it too
        former = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = f"{folder}{os.pathsep}{former}" if former else folder
    importlib.import_module(f"{program}.__main__").app()
