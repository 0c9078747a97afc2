"""Puts one bug after another into a copy of the tree, and lists those that their tests don't notice."""

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
_PYTEST = (sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=short")
_SECONDS = 300
_ALL_PASSED, _SOME_FAILED = 0, 1
_LINES = 30

KILLED, SURVIVED, STALE, BROKEN = "killed", "SURVIVED", "NO LONGER APPLIES", "BROKEN"
"""`BROKEN`: its tests could not be run, so that it is not known whether they would notice it."""


class Copy:
    """A copy of the tree, in which one file at a time is changed."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "tree"
        self._judged = 0
        (folder / "tmp").mkdir()
        places = {"PYTHONPATH": str(self.path), "TMPDIR": str(folder / "tmp"), "OMP_NUM_THREADS": "1"}
        self._environment = os.environ | places
        listed = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        for name in subprocess.run(listed, check=True, stdout=subprocess.PIPE, text=True).stdout.split("\0"):
            if name and (ROOT / name).is_file():
                (self.path / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.path / name)

    def judge(self, mutant: Mutant) -> tuple[str, str]:
        """Whether the tests of a mutant notice it; and what is to be said besides."""
        try:
            content = mutant.content(self.path)
        except ValueError as error:
            return STALE, str(error)
        path, kept = self.path / mutant.file, self.path.parent / "kept"
        shutil.copy2(path, kept)
        path.write_text(content, encoding="utf-8")
        self._judged += 1
        # A time of its own, so that no other's compiled file is taken for it.
        os.utime(path, (self._judged, self._judged))
        code, output = self.test(mutant.tests, _SECONDS)
        shutil.copy2(kept, path)
        if code is None:
            return KILLED, f"no end within {_SECONDS} s"
        if code == _ALL_PASSED:
            return SURVIVED, ""
        return (KILLED, "") if code == _SOME_FAILED else (BROKEN, output)

    def test(self, tests: Iterable[str], seconds: float | None = None) -> tuple[int | None, str]:
        """Run tests until one fails: pytest's exit code, None if it took too long, and the end of what it printed."""
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        with subprocess.Popen(
            [*_PYTEST, *tests], cwd=self.path, env=self._environment, text=True, start_new_session=True, **streams
        ) as process:
            try:
                output, _ = process.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                return None, ""
        return process.returncode, "\n".join(output.splitlines()[-_LINES:])


def main(names: list[str]) -> int:
    """Judge the mutants of these areas, and those whose sentences contain a name; 1 if any is not killed."""
    known = read_mutants()
    areas = dict.fromkeys(one.area for one in known)
    words = [name for name in names if name not in areas]
    mutants = [one for one in known if not names or one.area in names or any(word in one.bug for word in words)]
    if not mutants:
        print(f"no mutant is called {', '.join(names)}; areas: {', '.join(areas)}")
        return 2
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = Copy(Path(folder))
        code, output = copy.test(sorted({test for one in mutants for test in one.tests}))
        if code != _ALL_PASSED:
            print(f"{output}\nwithout any mutant these tests don't pass")
            return 2
        verdicts: Counter[str] = Counter()
        for mutant in mutants:
            start = time.monotonic()
            verdict, remark = copy.judge(mutant)
            verdicts[verdict] += 1
            seconds = f"{time.monotonic() - start:.0f} s"
            print(f"{verdict:<9} {mutant.area}: {mutant.bug} ({seconds}){remark and f': {remark}'}", flush=True)
    print(", ".join(f"{number} {verdict}" for verdict, number in verdicts.items()))
    return int(verdicts[KILLED] < len(mutants))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
