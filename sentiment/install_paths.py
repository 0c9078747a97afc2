"""What comes with the program besides this package: `jobs`, `report` and `configs`, in a clone or installed elsewhere.

A clone has them beside this package. An installed wheel has them in `sentiment/programs`, where they are no top-level
names: `jobs` and `report` are words that other people's modules have as well. The program puts that folder in front of
the places that Python imports from, for its own processes alone.
"""

import importlib
import os
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
"""The folder that this program was imported from."""

CONFIGS = Path("configs")


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


def import_program(name: str) -> ModuleType:
    """The command line of `jobs` or `report`, whatever else has that name where Python looks for modules."""
    folder = str(shipped_folder(name).parent)
    if sys.path[0] != folder:
        sys.path.insert(0, folder)
    if Path(folder) != ROOT:  # processes that it starts, such as that of the report at the end of a grid, need it too
        before = os.environ.get("PYTHONPATH")
        if folder not in (before or "").split(os.pathsep):
            os.environ["PYTHONPATH"] = f"{folder}{os.pathsep}{before}" if before else folder
    return importlib.import_module(f"{name}.__main__")
