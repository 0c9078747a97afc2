"""Tables of the stated hypotheses: what was expected before the runs, and what came out; on the page and in LaTeX."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from markupsafe import Markup

from report.compare.findings import Findings
from report.compare.hypotheses import Verdict, judge
from report.compare.published import replicated
from report.read import Study
from report.render import wording
from report.render.blocks import Question, ReportSection, columns_of
from report.sections.names import METHODS
from report.sections.paper import latex_table
from sentiment.blocks.content import DataTable, Row, with_bounds
from sentiment.blocks.wording import joined, listing
from sentiment.runs.hypotheses import BestOf, Hypothesis, Measure
from sentiment.statistics import words

# The unit of the difference in words; the file has shares where these are points.
_UNITS: dict[Measure, str] = {"score": "points", "epochs": "epochs", "overfitting": "points of overfitting"}


def hypotheses(findings: Findings) -> Question:
    """A table of all stated hypotheses, with their outcomes on the first screen."""
    verdicts = judge(findings.study, findings.answers)
    if not verdicts:
        return Question()
    rows = [_row(verdict) for verdict in verdicts]
    caption = _caption(findings.study)
    table = DataTable("hypotheses", joined([*caption, METHODS]), columns_of("hypotheses", rows), rows)
    document = latex_table(replace(table, caption=joined(caption)))
    section = ReportSection("Hypotheses", [table])
    return Question(answers=[outcomes(verdicts)], section=section, documents=[document])


def _caption(study: Study) -> list[str]:
    parts = []
    for (data, source), other_tweets in replicated(study).items():
        parts.append(f"Published on {data}: {source}.")
        if other_tweets:
            parts.append(f"These runs are on other tweets: {listing(other_tweets)}.")
    parts.append("Each was stated before the first result of its grid, unless it is said to be added later.")
    parts.append("Difference: the first side less the second, with the interval that decides.")
    return parts


def outcomes(verdicts: Sequence[Verdict]) -> Markup:
    """How many hypotheses are shown, shown to be false, and open, with a link to their table."""
    numbers = sorted(Counter(verdict.outcome for verdict in verdicts).items())
    counts = [f"{number:,} {'is' if number == 1 else 'are'} {outcome}" for outcome, number in numbers]
    stated = "hypothesis" if len(verdicts) == 1 else "hypotheses"
    return Markup("Of {:,} stated {}, {}: [table](#hypotheses).").format(len(verdicts), stated, listing(counts))


def _row(verdict: Verdict) -> Row:
    measure = verdict.hypothesis.measure
    unit = _UNITS[measure]
    scale = verdict.hypothesis.scale
    row: Row = {
        "grid": verdict.grid.name,
        "hypothesis": verdict.hypothesis.claim,
        "sides": _sides(verdict.hypothesis),
        "published": verdict.hypothesis.published or None,
        "verdict": _verdict(verdict),
        "outcome": verdict.outcome,
        "stated": "after the first result" if verdict.is_late else "before the runs",
        "unit": "epochs" if measure == "epochs" else "share",
        "difference_in_words": None,
        "runs": None,
    }
    difference = verdict.difference
    if difference:
        interval = words.interval(difference, lambda value: words.signed(scale * value))
        row["difference_in_words"] = f"{words.signed(scale * difference.value)} {unit}{words.bracketed(interval)}"
        first, second = verdict.n_runs
        is_to_baseline = isinstance(verdict.hypothesis.other, BestOf) and verdict.hypothesis.other.model
        row["runs"] = f"{first} and the baseline" if is_to_baseline else f"{first} and {second}"
        row |= with_bounds("difference", difference)
        row["level"] = None if difference.low is None else difference.level
        row |= {"adjusted_p": difference.q, "tweets": None if measure == "epochs" else difference.n}
    return row


def _sides(hypothesis: Hypothesis) -> str:
    """`GRU \u2212 LSTM (margin 1)`: what is compared, also where options add values to the claim."""
    first = "the best"
    if hypothesis.setting:
        first = wording.setting_of_several(hypothesis.setting, hypothesis.values)
    if not isinstance(hypothesis.other, BestOf):
        other = wording.setting_of_several(hypothesis.setting, hypothesis.other)
    else:
        first = f"the best with {first}" if hypothesis.setting else first
        other = f"the best of {hypothesis.other.grid}" if hypothesis.other.grid else "its linear baseline"
    margin = "" if hypothesis.within is None else f" (margin {hypothesis.within:g})"
    return f"{first} {words.MINUS} {other}{margin}"


def _verdict(verdict: Verdict) -> str:
    """`shown`, `shown to be false`, or `open` with what the same runs would show; whether it was added later."""
    remarks = ["added later"] if verdict.is_late else []
    if verdict.grid.plan and verdict.grid.plan.additions:
        remarks.append("runs were added when others had results")
    if verdict.problem:
        remarks.append(verdict.problem)
    elif verdict.outcome == "open" and verdict.could_show is not None:
        distance = math.ceil(10 * verdict.hypothesis.scale * verdict.could_show) / 10
        shown = f"{distance:.1f} {_UNITS[verdict.hypothesis.measure]}"
        has_margin = verdict.hypothesis.within is not None
        remarks.append(f"within {shown} it would be shown" if has_margin else f"{shown} would have shown it")
    return f"{verdict.outcome}{words.bracketed(*remarks)}"
