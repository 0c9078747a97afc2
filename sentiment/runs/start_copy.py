"""Runs a module of the program from a given folder, ignoring installed versions, PYTHONPATH and the current folder.

    python start_copy.py FOLDER MODULE ARGUMENTS...

FOLDER holds a copy of the program's code; an incomplete copy is refused. This file imports nothing of the program, so
that it can be anywhere. PYTHONPATH is not used: it cannot name a folder with a colon in its path, and another version
would silently take the place of a package that is missing in the folder.
"""

import hashlib
import json
import runpy
import sys
from importlib.util import find_spec
from pathlib import Path


def find_damage(folder: Path) -> str | None:
    """Describe the first changed or missing file of a copy; None if the copy is intact."""
    try:
        content = (folder / "code.json").read_bytes()
        record = json.loads(content)
        if hashlib.sha256(content.rpartition(b',\n  "seal": "')[0]).hexdigest() != record["seal"]:
            return "code.json has changed since it was written"
        for name, digest in record["files"].items():
            if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
                return f"{name} has changed since it was copied"
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        return f"it is incomplete: {error}"
    return None


def check_imports(folder: Path) -> str | None:
    """The reason why the packages would not be imported unchanged from `folder`; None if they would."""
    if (folder / "code.json").exists() and (damage := find_damage(folder)):  # a clone has no such file
        return damage
    for package in ("sentiment", "jobs", "report"):
        spec = find_spec(package)
        if spec is None or not spec.origin or not Path(spec.origin).resolve().is_relative_to(folder):
            return f"{package} would come from {spec.origin if spec else 'nowhere'}"
    return None


def main() -> None:
    """Run the module; if that is refused, exit with 1 and the reason in a line."""
    folder = Path(sys.argv[1]).resolve()
    module, *arguments = sys.argv[2:]
    sys.path[:] = [str(folder), *(entry for entry in sys.path if entry not in ("", str(Path(__file__).parent)))]
    programs = folder / "sentiment" / "programs"
    if programs.is_dir():  # where an installed wheel has `jobs` and `report`
        sys.path.insert(1, str(programs))
    if fault := check_imports(folder):
        sys.exit(
            f"cannot run the code in {folder}: {fault}; `sentiment rerun GRID --new-code` trains with the current code"
        )
    sys.argv[:] = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
