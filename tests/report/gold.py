"""The expected report of the invented study; `python -m tests.report.gold` rewrites it."""

import re
import tempfile
from pathlib import Path

from report.build import build_report
from sentiment.runs.run_dir import Results
from tests.report.studies import write_study

GOLD = Path(__file__).parent / "report.md"
HOW_TO_UPDATE = "if the change is wanted: python -m tests.report.gold, and read the difference"

# Hashes change with every field of the configuration.
_SCRUBBED = (
    (re.compile(r"(s[0-9]+)-[0-9a-f]{8}\b"), r"\1-HASH"),
    (re.compile(r"\b[0-9a-f]{12}\b"), "FINGERPRINT"),
    (re.compile(r"(sentiment-grids |sentiment_grids-)[0-9][^-,\s]*"), r"\1VERSION"),
)


def scrubbed(text: str) -> str:
    """Without what changes for other reasons than the report."""
    for pattern, replacement in _SCRUBBED:
        text = pattern.sub(replacement, text)
    return text


def main() -> None:
    """Write what the report says now."""
    with tempfile.TemporaryDirectory() as folder:
        write_study(Results(Path(folder) / "results"))
        build_report(Results(Path(folder) / "results"), [], Path(folder) / "report")
        text = (Path(folder) / "report" / GOLD.name).read_text(encoding="utf-8")
        GOLD.write_text(scrubbed(text), encoding="utf-8")


if __name__ == "__main__":
    main()
