"""Deliberate bugs ("mutants"), each of which a test must notice: `make mutants`, or `python -m tests.mutants NAME`.

`mutants.yaml` has them by area and file, under the tests (files, folders or ids, with blanks between) that must notice
them: a sentence on the bug, a text that stands once in the file, and the one in its place.
"""

from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML


@dataclass(frozen=True)
class Mutant:
    area: str
    bug: str
    file: str
    before: str
    after: str
    tests: tuple[str, ...]

    def content(self, root: Path) -> str:
        """The file with the bug in it; a ValueError says that the text to replace doesn't stand there just once."""
        path = root / self.file
        content = path.read_text(encoding="utf-8") if path.exists() else ""
        if (found := content.count(self.before)) != 1:
            raise ValueError(
                f"{self.before!r} stands {found} times in {self.file}, not once; correct or delete the mutant "
                f"{self.bug!r} in tests/mutants/mutants.yaml"
            )
        return content.replace(self.before, self.after)


def read_mutants() -> list[Mutant]:
    path = Path(__file__).with_name("mutants.yaml")
    return [
        Mutant(area, bug, file, before, after, tuple(tests.split()))
        for area, files in YAML(typ="safe").load(path).items()
        for file, groups in files.items()
        for tests, bugs in groups.items()
        for bug, texts in bugs.items()
        for before, after in texts.items()
    ]
