"""Puts one bug after another into a copy of the tree, and lists those that their tests don't notice.

Each bug's tests run in a process that is forked from this one, which has imported other people's packages already and
nothing of the project: the copy stands first in the path there, and in `PYTHONPATH` for processes that tests start.
"""

import importlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from multiprocessing import get_context
from pathlib import Path

from tests.mutants import Mutant, read_mutants

ROOT = Path(__file__).parents[2]
_PACKAGES = ("sentiment", "jobs", "report", "tests")
_SLOW = ("torch", "pandas", "scipy.stats", "sklearn.linear_model", "pyarrow.parquet", "pydantic", "rich", "typer")
_OPTIONS = ("-x", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=short")
_SECONDS = 300
_ALL_PASSED, _SOME_FAILED, _OTHER_CODE = 0, 1, 99
_LINES = 30

KILLED, SURVIVED, STALE, BROKEN = "killed", "SURVIVED", "NO LONGER APPLIES", "BROKEN"
"""`BROKEN`: its tests could not be run, so that it is not known whether they would notice it."""


class Copy:
    """A copy of the tree, in which one file at a time is changed."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.path = folder / "tree"
        self._output = folder / "output"
        (folder / "tmp").mkdir()
        self._environment = {"PYTHONPATH": str(self.path), "TMPDIR": str(folder / "tmp")}
        listed = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        for name in subprocess.run(listed, check=True, stdout=subprocess.PIPE, text=True).stdout.split("\0"):
            if name and (root / name).is_file():
                (self.path / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(root / name, self.path / name)

    def judge(self, mutant: Mutant) -> tuple[str, str]:
        """Whether the tests of a mutant notice it; and what is to be said besides."""
        try:
            content = mutant.content(self.path)
        except ValueError as error:
            return STALE, str(error)
        path, kept = self.path / mutant.file, self.path.parent / "kept"
        shutil.copy2(path, kept)
        path.write_text(content, encoding="utf-8")
        os.utime(path, (0, 0))  # compiled files of the original have another time, so they aren't taken for this one
        code, output = self.test(mutant.tests, _SECONDS)
        shutil.copy2(kept, path)
        if code is None:
            return KILLED, f"no end within {_SECONDS} s"
        if code == _ALL_PASSED:
            return SURVIVED, ""
        return (KILLED, "") if code == _SOME_FAILED else (BROKEN, output)

    def test(self, tests: Iterable[str], seconds: float | None = None) -> tuple[int | None, str]:
        """Run tests until one fails: pytest's exit code, None if it took too long, and the end of what it printed."""
        process = get_context("fork").Process(target=self._run, args=([*_OPTIONS, *tests],))
        process.start()
        process.join(seconds)
        code = process.exitcode
        if code is None and process.pid:
            os.killpg(process.pid, signal.SIGKILL)
            process.join()
        return code, "\n".join(self._output.read_text(errors="replace").splitlines()[-_LINES:])

    def _run(self, arguments: list[str]) -> None:
        """In the forked process: import the copy's packages, in place of those of this program, and run pytest."""
        os.setsid()
        with open(self._output, "wb") as output:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
        os.chdir(self.path)
        os.environ.update(self._environment)
        tempfile.tempdir = None
        sys.path[:] = [str(self.path), *(one for one in sys.path if one not in ("", str(ROOT)))]
        for name in [name for name in sys.modules if name.partition(".")[0] in _PACKAGES]:
            del sys.modules[name]
        for name in _PACKAGES:
            if (file := importlib.import_module(name).__file__) != str(self.path / name / "__init__.py"):
                print(f"{name} is imported from {file}")
                sys.exit(_OTHER_CODE)
        sys.exit(importlib.import_module("pytest").main(arguments))


def main(names: list[str]) -> int:
    """Judge the mutants of these areas, and those whose sentences contain a name; 1 if any is not killed."""
    known = read_mutants()
    areas = dict.fromkeys(one.area for one in known)
    words = [name for name in names if name not in areas]
    mutants = [one for one in known if not names or one.area in names or any(word in one.bug for word in words)]
    if not mutants:
        print(f"no mutant is called {', '.join(names)}; areas: {', '.join(areas)}")
        return 2
    os.environ["OMP_NUM_THREADS"] = "1"
    for name in _SLOW:
        importlib.import_module(name)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = Copy(ROOT, Path(folder))
        tests = sorted({test for one in mutants for test in one.tests})
        code, output = copy.test(tests)
        if code != _ALL_PASSED:
            print(f"{output}\nwithout any mutant these tests don't pass")
            return 2
        verdicts: dict[str, Counter[str]] = {}
        for mutant in mutants:
            start = time.monotonic()
            verdict, remark = copy.judge(mutant)
            verdicts.setdefault(mutant.area, Counter())[verdict] += 1
            seconds = f"{time.monotonic() - start:.0f} s"
            print(f"{verdict:<9} {mutant.area}: {mutant.bug} ({seconds}){remark and f': {remark}'}", flush=True)
    for area, numbers in verdicts.items():
        print(f"{area}: {', '.join(f'{number} {verdict}' for verdict, number in numbers.items())}")
    whole = sum(verdicts.values(), Counter())
    print(f"{whole[KILLED]} of {len(mutants)} mutants are killed")
    return int(whole[KILLED] < len(mutants))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
