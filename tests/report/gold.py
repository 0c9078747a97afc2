"""The expected report of the invented study; `python -m tests.report.gold` rewrites it."""

import re
import tempfile
from pathlib import Path

from sentiment.runs.run_dir import Results
from tests.report.studies import write_study

GOLD = Path(__file__).parent / "report.md"

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


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        study = write_study(Results(Path(folder) / "results"))
        GOLD.write_text(scrubbed(study.report(Path(folder) / "report")), encoding="utf-8")
