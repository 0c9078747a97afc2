"""Cleaning: what removing stop words does to networks and to the linear baseline alike."""

from collections import defaultdict
from typing import Any

from report import statistics
from report.analysis.findings import Findings
from report.analysis.grids import GridFindings
from report.analysis.questions.cleanings import CleaningComparison, CleaningGap, CleaningPair, Obstacle
from report.analysis.questions.effects import Level
from report.read.load import Grid
from report.read.published import PLAIN_CEILING
from report.render import blocks, drawing, wording
from report.render.blocks import Block, Bullets, Heading, ReportSection, Table, Text
from report.render.charts.intervals import Line, ValueAxis, interval_figure
from report.sections.names import classifier_name, cleaning_name, level_name
from report.statistics import Estimate

_STOP_WORDS = "data.text.stop_words"
_WHY = {
    Obstacle.NO_COMMON_SEED: "there is no seed with readable predictions under both",
    Obstacle.FILE_CHANGED: "seeds were trained on different states of the file of tweets",
    Obstacle.NO_CORPUS: "the prepared tweets, by which they would be matched, are not on this machine",
    Obstacle.NO_COMMON_TWEET: "they have no test tweet in common",
}


def cleaning(findings: Findings) -> ReportSection:
    """Every grid that varies how text is cleaned."""
    content: list[Block] = []
    is_same = findings.main is not None and findings.main.is_sentiment140
    for found in findings.grids:
        if found.cleaning:
            content += [*_baseline_blocks(found, is_same), *_pair_blocks(found.grid, found.cleaning)]
    return ReportSection("Cleaning", content)


def _baseline_blocks(found: GridFindings, is_same: bool) -> list[Block]:
    """The baseline under each way of cleaning, which shows whether the words or the nets are to blame.

    Args:
        is_same: whether the tweets are those of the published study, so that its figure may stand beside.
    """
    grid = found.grid
    effect = next((one for one in found.effects if one.parameter == _STOP_WORDS), None)
    if effect is None:
        return []
    baselines = {
        level.value: next(
            statistics.measured_accuracy(run.result.baseline["test"])
            for run in grid.completed
            if run.settings[_STOP_WORDS] == level.value
        )
        for level in effect.levels
    }
    lines = []
    for level in effect.levels:
        name = level_name(_STOP_WORDS, level)
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
        {"cleaning": level_name(_STOP_WORDS, level), "runs": level.score.n, "tweets": baselines[level.value].n}
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


def _pair_blocks(grid: Grid, compared: CleaningComparison) -> list[Block]:
    """Ways of cleaning against each other on the same tweets, and which could not be compared so."""
    content: list[Block] = []
    if gaps := compared.gaps:
        by_model: dict[str, list[CleaningGap]] = defaultdict(list)
        for one in gaps:
            by_model[classifier_name(one.pair.classifier)].append(one)
        content += [Text(_how_compared(gaps)), Bullets([_model_sentence(*one) for one in by_model.items()])]
        content.append(_pairs_table(grid, gaps))
    if compared.refused:
        content += [Text("Not compared tweet by tweet:"), Bullets(_reasons(compared.refused))]
    return [Heading("Cleaning, tweet by tweet"), *content] if content else []


def _reasons(refused: list[tuple[Obstacle, CleaningPair]]) -> list[str]:
    by_obstacle: dict[Obstacle, list[str]] = defaultdict(list)
    for obstacle, pair in refused:
        first, second = cleaning_name(pair.first), cleaning_name(pair.second)
        by_obstacle[obstacle].append(f"{first} with {second} ({classifier_name(pair.classifier)})")
    return [f"Since {_WHY[obstacle]}: {'; '.join(which)}." for obstacle, which in by_obstacle.items()]


def _how_compared(gaps: list[CleaningGap]) -> str:
    sizes, alone = [one.gap.n for one in gaps], [one.only_first + one.only_second for one in gaps]
    left_out = (
        f"; {wording.span(alone)} of which one of them leaves nothing are left out here, but not above"
        if any(alone)
        else ""
    )
    return (
        "The comparison of seeds above asks whether a difference would be there if the nets were trained again; this "
        "one, whether it would be there on other tweets. Rely only on what both show. Two ways of cleaning "
        f"are compared on the n = {wording.span(sizes)} test tweets that both have{left_out}. For a net, each tweet "
        "counts with the share of the net's seeds that have it right, so that no seed's luck decides."
    )


def _model_sentence(model: str, gaps: list[CleaningGap]) -> str:
    """The differences that are shown; where none is, the largest one."""
    shown = [one for one in gaps if statistics.is_shown(one.gap, one.q)]
    if not shown:
        largest = max(gaps, key=lambda one: abs(one.gap.value))
        first, second = _names(largest)
        rest = "" if len(gaps) == 1 else ", and the other pairs differ no more"
        return f"{wording.capital(model)}: {first} can't be told apart from {second} ({_gap(largest)}){rest}."
    clauses = []
    for one in shown:
        first, second = _names(one)
        clauses.append(f"{first} {'beats' if one.gap.value > 0 else 'loses to'} {second} ({_gap(one)})")
    if len(shown) < len(gaps):
        clauses.append("no other difference is shown")
    return f"{wording.capital(model)}: {'; '.join(clauses)}."


def _names(gap: CleaningGap) -> tuple[str, str]:
    return cleaning_name(gap.pair.first), cleaning_name(gap.pair.second)


def _gap(one: CleaningGap) -> str:
    return f"{wording.points_with_interval(one.gap)}, {wording.p_phrase(one.q, 'adjusted p')}"


def _pairs_table(grid: Grid, gaps: list[CleaningGap]) -> Table:
    rows = [
        {"compared": " \u2212 ".join(_names(one)), "model": classifier_name(one.pair.classifier)}
        | blocks.with_bounds("gap", one.gap)
        | {"p": one.gap.p, "q": one.q}
        | {"by_seed": ", ".join(wording.points(seed.value) for seed in one.by_seed) or None}
        | {"seeds_shown": f"{one.seeds_shown} of {len(one.by_seed)}" if one.by_seed else None}
        | {"tweets": one.gap.n, "only_first": one.only_first, "only_second": one.only_second}
        for one in gaps
    ]
    columns = [
        blocks.text("Compared", "compared"),
        blocks.difference("Difference, points", "gap"),
        blocks.text("Model", "model"),
        blocks.p_value("Adjusted p", "q"),
        blocks.text("Seed by seed, points", "by_seed"),
        blocks.text("Shown in seeds", "seeds_shown"),
        blocks.count("Tweets, n", "tweets"),
        blocks.count("Only the first has", "only_first"),
        blocks.count("Only the second has", "only_second"),
    ]
    seeds = sum(len(one.by_seed) for one in gaps)
    caption = (
        f"Grid {grid.name}: test accuracy under the first cleaning less that under the second, on the tweets that both "
        "have, with its 95 % interval. Nets of several seeds: paired t-test over tweets; the baseline and every seed "
        "by itself: exact McNemar test. p-values are adjusted together for "
        f"{wording.plural(len(gaps), 'comparison')}, those of single seeds for {wording.plural(seeds, 'test')} "
        "(Benjamini-Hochberg)."
    )
    return Table(f"cleaning-pairs-{grid.name}", caption, columns, rows)
