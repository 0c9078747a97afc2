"""Puts what a wheel holds besides `sentiment` out of other packages' way; all else stands in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithPrograms(build_py):
    """In a wheel `jobs`, `report` and `configs` lie in `sentiment/programs`; `sentiment.files` finds them."""

    def run(self) -> None:
        """Build the packages, and move them; an editable installation uses the clone as it is."""
        super().run()
        if self.editable_mode:
            return
        built = Path(self.build_lib)
        programs = built / "sentiment" / "programs"
        shutil.rmtree(programs, ignore_errors=True)
        programs.mkdir()
        for name in ("jobs", "report"):
            (built / name).rename(programs / name)
        for folder in ("", "runs", "grids", "studies"):
            (programs / "configs" / folder).mkdir(exist_ok=True)
            for file in (Path("configs") / folder).glob("*.yaml"):
                shutil.copy(file, programs / "configs" / folder)


setup(cmdclass={"build_py": BuildWithPrograms})
