"""Cleaning: what removing stop words does to networks and to the linear baseline alike."""

from typing import Any

from report import statistics
from report.analysis.findings import Findings
from report.analysis.grids import GridFindings, Kind
from report.analysis.questions.cleanings import STOP_WORDS, CleaningGap
from report.analysis.questions.effects import Level
from report.read.load import Grid
from report.read.published import PLAIN_CEILING
from report.render import blocks, drawing, wording
from report.render.blocks import Block, Bullets, ReportSection, Table, Text
from report.render.charts.intervals import Line, ValueAxis, interval_figure
from report.sections.names import level_name
from report.statistics import Estimate


def cleaning(findings: Findings) -> ReportSection:
    """Every grid that varies how text is cleaned."""
    content: list[Block] = []
    is_same = findings.main is not None and findings.main.is_sentiment140
    for found in findings.grids:
        if found.kind is Kind.CLEANING:
            content += [*_baseline_blocks(found, is_same), *_gap_blocks(found.grid, found.cleaning)]
    return ReportSection("Cleaning", content)


def _baseline_blocks(found: GridFindings, is_same: bool) -> list[Block]:
    """The baseline under each way of cleaning, which shows whether the words or the nets are to blame.

    Args:
        is_same: whether the tweets are those of the published study, so that its figure may stand beside.
    """
    grid = found.grid
    effect = next((one for one in found.effects if one.parameter == STOP_WORDS), None)
    if effect is None:
        return []
    baselines = {
        level.value: next(
            statistics.measured_accuracy(run.result.baseline["test"])
            for run in grid.completed
            if run.settings[STOP_WORDS] == level.value
        )
        for level in effect.levels
    }
    lines = []
    for level in effect.levels:
        name = level_name(STOP_WORDS, level)
        lines.append(Line(f"networks, {name}", level.score))
        lines.append(Line(f"linear baseline, {name}", baselines[level.value], drawing.ORANGE))
    if is_same:
        ceiling = Estimate(PLAIN_CEILING.accuracy, None, None, 0)
        lines.append(Line(f"published: {PLAIN_CEILING.model}, at most", ceiling, drawing.MUTED, published=True))
    runs, tweets = ([one.n for one in of] for of in ([level.score for level in effect.levels], baselines.values()))
    caption = (
        "Test accuracy by what is removed from tweets. Networks: mean with Student's 95 % interval over "
        f"{wording.span(runs)} runs each; linear baseline: Wilson's interval, n = {wording.span(tweets)} tweets"
        f"{'; hollow: published, validation part.' if is_same else '.'}"
    )
    alt = "Test accuracy by cleaning, networks and baseline"
    return [
        Text(_ceiling_sentence(effect.levels, baselines, is_same)),
        interval_figure(f"cleaning-{grid.name}", alt, caption, lines, ValueAxis("test accuracy (%)")),
        _baseline_table(grid, effect.levels, baselines),
    ]


def _baseline_table(grid: Grid, levels: list[Level], baselines: dict[Any, Estimate]) -> Table:
    """Networks and baseline under each way of cleaning; `baselines` by the value of the setting."""
    rows = [
        {"cleaning": level_name(STOP_WORDS, level), "runs": level.score.n, "tweets": baselines[level.value].n}
        | blocks.with_bounds("networks", level.score)
        | blocks.with_bounds("baseline", baselines[level.value])
        for level in levels
    ]
    columns = [
        blocks.text("Cleaning", "cleaning"),
        blocks.count("Runs", "runs"),
        blocks.interval("Networks, %", "networks"),
        blocks.count("Tweets", "tweets"),
        blocks.interval("Baseline, %", "baseline"),
    ]
    return Table(f"cleaning-{grid.name}", "The same in numbers.", columns, rows, folded=True)


def _ceiling_sentence(levels: list[Level], baselines: dict[Any, Estimate], is_same: bool) -> str:
    removed = next((level for level in levels if level.value == "all"), None)
    if removed is None:
        return "A comparison with the published ceiling needs runs with all stop words removed."
    text = (
        f"With all stop words removed, negations among them, the networks reach {wording.share(removed.score)} and "
        f"the linear baseline {wording.share(baselines['all'])}."
    )
    if not is_same:
        return text
    return (
        f"{text} The published study, which removed them too, reports at most "
        f"{wording.percent(PLAIN_CEILING.accuracy)} % for every recurrent net."
    )


def _gap_blocks(grid: Grid, gaps: list[CleaningGap]) -> list[Block]:
    """The baseline under ways of cleaning against each other, on the tweets that both leave."""
    if not gaps:
        return []
    sentences = [
        f"Linear baseline, {wording.setting(STOP_WORDS, one.first)} less {wording.setting(STOP_WORDS, one.second)}, on "
        f"the n = {one.gap.n:,} test tweets that both have: {wording.claim(one.gap)}"
        f"{'' if one.gap.is_shown else ': not shown to differ'}."
        for one in gaps
    ]
    rows = [
        {"first": wording.setting(STOP_WORDS, one.first), "second": wording.setting(STOP_WORDS, one.second)}
        | blocks.with_bounds("gap", one.gap)
        | {"p": one.gap.p, "q": one.gap.q, "tweets": one.gap.n}
        for one in gaps
    ]
    columns = [
        blocks.text("Baseline with", "first"),
        blocks.text("less that with", "second"),
        blocks.difference("Difference, points", "gap"),
        blocks.p_value("Adjusted p", "q"),
        blocks.count("Tweets", "tweets"),
    ]
    caption = "The linear baseline under two ways of cleaning each; interval and p corrected for all rows."
    return [Bullets(sentences), Table(f"cleaning-pairs-{grid.name}", caption, columns, rows, folded=True)]
