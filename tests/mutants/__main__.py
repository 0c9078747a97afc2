"""Puts one bug after another into a copy of the tree, and lists those that their tests don't notice.

The copy's packages are what its tests import, in other processes too: it stands first in `PYTHONPATH`.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tests.mutants import Mutant, read_mutants

ROOT = Path(__file__).parents[2]
_PACKAGES = ("sentiment", "jobs", "report", "tests")
_PYTEST = (sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=short")
_SECONDS = 300
_ALL_PASSED, _SOME_FAILED = 0, 1
_LINES = 30

KILLED, SURVIVED, STALE, BROKEN = "killed", "SURVIVED", "NO LONGER APPLIES", "BROKEN"
"""`BROKEN`: its tests could not be run, so that it is not known whether they would notice it."""


class Copy:
    """A copy of the tree, in which one file at a time is changed.

    Raises:
        RuntimeError: Python imports other code than that of the copy.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        self.path = folder / "tree"
        (folder / "tmp").mkdir()
        self._environment = os.environ | {
            "PYTHONPATH": str(self.path), "TMPDIR": str(folder / "tmp"), "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        listed = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        for name in subprocess.run(listed, check=True, stdout=subprocess.PIPE, text=True).stdout.split("\0"):
            if name and (root / name).is_file():
                (self.path / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(root / name, self.path / name)
        self._refuse_other_code(folder)

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
        code, output = self._run([*_PYTEST, *tests], self.path, seconds)
        return code, "\n".join(output.splitlines()[-_LINES:])

    def _run(self, command: list[str], folder: Path, seconds: float | None = None) -> tuple[int | None, str]:
        process = subprocess.Popen(
            command, cwd=folder, env=self._environment, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            output = process.communicate(timeout=seconds)[0]
            return process.returncode, output
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return None, process.communicate()[0]

    def _refuse_other_code(self, elsewhere: Path) -> None:
        program = "import sys\nfor name in sys.argv[1:]: print(__import__(name).__file__)"
        _, output = self._run([sys.executable, "-c", program, *_PACKAGES], elsewhere)
        if wrong := [line for line in output.splitlines() if not line.startswith(f"{self.path}/")]:
            raise RuntimeError(f"tests in {self.path} would import {wrong[0]}")


def main(names: list[str]) -> int:
    """Judge the mutants of these areas, and those whose sentences contain a name; 1 if any is not killed."""
    known = read_mutants()
    mutants = [one for one in known if not names or one.area in names or any(name in one.bug for name in names)]
    if not mutants:
        print(f"no mutant is called {', '.join(names)}; areas: {', '.join(dict.fromkeys(one.area for one in known))}")
        return 2
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = Copy(ROOT, Path(folder))
        tests = sorted({test for one in mutants for test in one.tests})
        code, output = copy.test(tests)
        if code != _ALL_PASSED:
            print(f"{output}\nwithout any mutant these tests don't pass")
            return 2
        verdicts = Counter[str]()
        for mutant in mutants:
            start = time.monotonic()
            verdict, remark = copy.judge(mutant)
            verdicts[verdict] += 1
            seconds = f"{time.monotonic() - start:.0f} s"
            print(f"{verdict:<9} {mutant.area}: {mutant.bug} ({seconds}){remark and f': {remark}'}", flush=True)
    print(", ".join(f"{number} {verdict}" for verdict, number in verdicts.items()), f"of {len(mutants)} mutants")
    return int(verdicts[KILLED] < len(mutants))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
