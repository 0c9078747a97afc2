"""Starts a module of the program from one folder, whatever is installed, in PYTHONPATH or in the present folder.

    python start_copy.py FOLDER MODULE ARGUMENTS...

FOLDER holds a copy of the program's code; one that is not whole is refused. Nothing of the program is imported by this
file, so that it can stand anywhere. PYTHONPATH could not name a folder with a colon in its path, and would be passed
over in silence where a package is missing in the folder.
"""

import hashlib
import json
import runpy
import sys
from importlib.util import find_spec
from pathlib import Path


def find_damage(folder: Path) -> str | None:
    """What of a copy is not as it was copied; None if all is."""
    try:
        for name, digest in json.loads((folder / "code.json").read_bytes())["files"].items():
            if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
                return f"{name} is not as it was copied"
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        return f"it is not whole: {error}"
    return None


def find_fault(folder: Path) -> str | None:
    """Why the program would not be what was copied to a folder; None if it would be."""
    if (folder / "code.json").exists() and (damage := find_damage(folder)):  # a clone has no such file
        return damage
    for package in ("sentiment", "jobs", "report"):
        spec = find_spec(package)
        if spec is None or not spec.origin or not Path(spec.origin).resolve().is_relative_to(folder):
            return f"{package} would come from {spec.origin if spec else 'nowhere'}"
    return None


def main() -> None:
    """Run the module, or end with 1 and the reason in a line."""
    folder, module, arguments = Path(sys.argv[1]).resolve(), sys.argv[2], sys.argv[3:]
    sys.path[:] = [str(folder), *(entry for entry in sys.path if entry not in ("", str(Path(__file__).parent)))]
    if fault := find_fault(folder):
        sys.exit(
            f"refused: the code in {folder} was to be run, but {fault}; "
            "`sentiment rerun GRID --new-code` trains with that of now"
        )
    sys.argv[:] = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
