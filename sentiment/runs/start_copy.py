"""Starts a module of the program from one folder, whatever is installed, in PYTHONPATH or in the present folder.

    python start_copy.py [--unchecked] FOLDER MODULE ARGUMENTS...

FOLDER holds a copy of the program's code, which is compared with its `code.json` first, unless `--unchecked` says that
this was done. Nothing of the program is imported before that, so that this file can stand anywhere. PYTHONPATH could
not name a folder with a colon in its path, and would be passed over in silence where files of the folder are missing.
"""

import hashlib
import json
import runpy
import sys
from importlib.util import find_spec
from pathlib import Path

_PACKAGES = ("sentiment", "jobs", "report")


def find_fault(folder: Path, checked: bool) -> str | None:
    """Why the program would not be what was copied to a folder; None if it would be.

    Args:
        checked: whether its files are compared with what the copy consists of.
    """
    try:
        files = json.loads((folder / "code.json").read_bytes())["files"] if checked else {}
        changed = (name for name in files if hashlib.sha256((folder / name).read_bytes()).hexdigest() != files[name])
        if name := next(changed, None):
            return f"{name} is not as it was copied"
    except (OSError, ValueError, LookupError) as error:
        return f"it is not whole: {error}"
    for package in _PACKAGES:
        spec = find_spec(package)
        if spec is None or not spec.origin or not Path(spec.origin).resolve().is_relative_to(folder):
            return f"{package} would come from {spec.origin if spec else 'nowhere'}"
    return None


def main() -> None:
    """Check the folder and run the module, or end with 1 and the reason in a line."""
    checked = sys.argv[1] != "--unchecked"
    name, module, *arguments = sys.argv[1 if checked else 2 :]
    folder, here = Path(name).resolve(), str(Path(__file__).parent)
    sys.path[:] = [str(folder), *(entry for entry in sys.path if entry not in ("", here))]
    if fault := find_fault(folder, checked):
        print(
            f"refused: the code in {folder} was to be run, but {fault}; "
            "`python -m jobs rerun GRID --new-code` trains with that of now",
            file=sys.stderr,
        )
        sys.exit(1)
    sys.argv[:] = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
