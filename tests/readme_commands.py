"""The commands in the READMEs, as a reader would type them."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sentiment.files import ROOT

READMES = sorted(
    path for path in [ROOT / "README.md", *(ROOT / "results").glob("README.md")] if path.exists()
) + sorted(
    path
    for folder in ("configs", "jobs", "sentiment", "report", "tests")
    for path in (ROOT / folder).rglob("README.md")
)


class ReadmeCommand(NamedTuple):
    """A command, and where it stands."""

    place: str
    words: list[str]

    @property
    def program(self) -> str | None:
        """`sentiment`, `make` or a module of `tests`; None for others."""
        if self.words[:2] == ["python", "-m"] and self.words[2].startswith("tests"):
            return self.words[2]
        return self.words[0] if self.words[0] in ("sentiment", "make") else None

    @property
    def arguments(self) -> list[str]:
        """The words after the program's name."""
        return self.words[3 if self.words[0] == "python" else 1 :]


def readme_commands() -> list[ReadmeCommand]:
    """All commands of all READMEs: lines of blocks without a language, and words in backticks."""
    return [command for path in READMES for command in _commands(path)]


def python_blocks() -> Iterator[tuple[str, str]]:
    """The place and content of each block of Python."""
    for path in READMES:
        for block in re.findall(r"^```python\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
            yield str(path.relative_to(ROOT)), block


def _commands(path: Path) -> Iterator[ReadmeCommand]:
    text = path.read_text(encoding="utf-8")
    place = str(path.relative_to(ROOT))
    blocks = re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()] + re.findall(r"`([^`\n]+)`", prose)
    for line in lines:
        command = re.sub(r"\s+<\s+\S+$", "", re.sub(r"\s{2,}#.*$|\s+#\s.*$", "", line)).strip()
        if not re.match(r"(make|python -m|sentiment)\b(?![./-])", command):
            continue
        try:
            found = ReadmeCommand(place, shlex.split(command.split(" && ")[0]))
        except ValueError:
            continue
        if (found.program and found.arguments) or str(found.program).startswith("tests."):
            yield found
