"""What the recommended run has wrong, in groups that say why that may be."""

from html import unescape
from typing import Any

from report.analysis.comparison.mistakes import Mistakes, Places
from report.read.load import CompletedRun
from report.read.predictions import Scores
from report.read.tweets import Tweets
from report.render import blocks, wording
from report.render.blocks import Block, Heading, Table, Text

_SHOWN = 6
_LONGEST_TWEET = 280


def mistake_blocks(found: Mistakes, run: CompletedRun, scores: Scores, tweets: Tweets) -> list[Block]:
    """A table for each group that has members."""
    n = sum(len(group) for group in (found.every_run, found.disputed, found.negated, found.others))
    groups = (
        (
            "every-run",
            f"Wrong in all {found.runs:,} runs: the label may be wrong",
            "all runs have wrong",
            found.every_run,
        ),
        ("disputed", "Runs disagree: irony, or two feelings at once", "runs disagree about", found.disputed),
        ("negated", "With a negating word", "have a negating word", found.negated),
        ("others", "The rest", "are none of these", found.others),
    )
    said = [f"{len(group):,} {verb}" for _, _, verb, group in groups if len(group)]
    if not said:
        return []
    text = Text(
        f"Of {n:,} mistakes on test tweets {wording.listing(said)}. Each group begins with the surest mistakes."
    )
    tables = [_table(key, name, group, (found, run, scores, tweets)) for key, name, _, group in groups if len(group)]
    return [Heading("Mistakes"), text, *tables]


def _table(key: str, name: str, group: Places, about: tuple[Mistakes, CompletedRun, Scores, Tweets]) -> Table:
    found, run, scores, tweets = about
    rows: list[dict[str, Any]] = [
        {
            "tweet": wording.shortened(unescape(str(tweets.texts[place])), _LONGEST_TWEET),
            "label": run.config.data.label_names[int(scores.labels[place])],
            "score": float(scores.model[place]),
            "baseline": float(scores.baseline[place]),
            "share_right": float(found.share_right[place]),
        }
        for place in group[:_SHOWN]
    ]
    columns = [
        blocks.text("Tweet", "tweet"),
        blocks.text("Label", "label"),
        blocks.percent("Probability of positive, %", "score"),
        blocks.percent("Baseline's, %", "baseline"),
        blocks.percent("Runs right, %", "share_right"),
    ]
    caption = f"{name}: {len(rows)} of {len(group):,}."
    return Table(f"mistakes-{key}", caption, columns, rows, folded=key in ("negated", "others"))
