"""Cleaning: what removing stop words does to networks and to the linear baseline alike."""

from typing import Any

from report.analysis import statistics
from report.analysis.cleanings import Pair, compare_cleanings
from report.analysis.effects import Level, effects_of
from report.analysis.grid_kind import Kind, kind_of
from report.analysis.statistics import Estimate
from report.read.load import Grid, Study
from report.read.published import PLAIN_CEILING
from report.render import blocks, wording
from report.render.blocks import Block, Bullets, Heading, ReportSection, Table, Text
from report.render.charts import style
from report.render.charts.intervals import Line, interval_figure
from report.sections.grids import curve_blocks, grid_blocks

_STOP_WORDS = "data.text.stop_words"


def cleaning(study: Study) -> ReportSection:
    """Every grid that varies how text is cleaned."""
    content: list[Block] = []
    for grid in study.grids:
        if kind_of(grid) is Kind.CLEANING:
            content += [
                *grid_blocks(grid),
                *_baseline_blocks(grid),
                *_pair_blocks(grid, study),
                *curve_blocks(grid, study),
            ]
    return ReportSection("Cleaning", content)


def _baseline_blocks(grid: Grid) -> list[Block]:
    """The baseline under each way of cleaning, which shows whether the words or the nets are to blame."""
    effect = next((one for one in effects_of(grid.completed) if one.parameter == _STOP_WORDS), None)
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
        lines.append(Line(f"networks, {level.name}", level.score))
        lines.append(Line(f"linear baseline, {level.name}", baselines[level.value], style.ORANGE))
    ceiling = Estimate(PLAIN_CEILING.accuracy, None, None, 0)
    lines.append(Line(f"published: {PLAIN_CEILING.model}, at most", ceiling, style.MUTED, published=True))
    runs, tweets = ([one.n for one in of] for of in ([level.score for level in effect.levels], baselines.values()))
    caption = (
        "Test accuracy by what is removed from tweets. Networks: mean with Student's 95 % interval over "
        f"{wording.span(runs)} runs each; linear baseline: Wilson's interval, n = {wording.span(tweets)} tweets; "
        "hollow: published, validation part."
    )
    rows = [
        {"cleaning": level.name, "runs": level.score.n, "tweets": baselines[level.value].n}
        | blocks.with_bounds("networks", level.score)
        | blocks.with_bounds("baseline", baselines[level.value])
        for level in effect.levels
    ]
    columns = [
        blocks.text("Cleaning", "cleaning"),
        blocks.count("Runs", "runs"),
        blocks.interval("Networks, %", "networks"),
        blocks.count("Tweets", "tweets"),
        blocks.interval("Baseline, %", "baseline"),
    ]
    alt = "Test accuracy by cleaning, networks and baseline"
    return [
        Text(_ceiling_sentence(effect.levels, baselines)),
        interval_figure(f"cleaning-{grid.name}", alt, caption, lines, "test accuracy (%)"),
        Table(f"cleaning-{grid.name}", "The same in numbers.", columns, rows, folded=True),
    ]


def _ceiling_sentence(levels: list[Level], baselines: dict[Any, Estimate]) -> str:
    removed = next((level for level in levels if level.value == "all"), None)
    if removed is None:
        return "To compare with the published ceiling takes runs with all stop words removed."
    return (
        f"With all stop words removed, negations among them, the networks reach {wording.share(removed.score)} and "
        f"the linear baseline {wording.share(baselines['all'])}. The published study, which removed them too, reports "
        f"at most {wording.percent(PLAIN_CEILING.accuracy)} % for every recurrent net."
    )


def _pair_blocks(grid: Grid, study: Study) -> list[Block]:
    """Ways of cleaning against each other on the same tweets, and which could not be compared so."""
    pairs, refused = compare_cleanings(grid, study.results, study.problems)
    content: list[Block] = []
    if pairs:
        by_model = {pair.model: [one for one in pairs if one.model == pair.model] for pair in pairs}
        content += [Text(_how_compared(pairs)), Bullets([_model_sentence(*one) for one in by_model.items()])]
        content.append(_pairs_table(grid, pairs))
    if refused:
        reasons = [f"Since {why}: {'; '.join(which)}." for why, which in refused.items()]
        content += [Text("Not compared tweet by tweet:"), Bullets(reasons)]
    return [Heading("Cleaning, tweet by tweet"), *content] if content else []


def _how_compared(pairs: list[Pair]) -> str:
    sizes, alone = ([pair.gap.n for pair in pairs], [pair.only_first + pair.only_second for pair in pairs])
    left_out = (
        f"; {wording.span(alone)} that one of them leaves nothing of are left out here, but not above"
        if any(alone)
        else ""
    )
    return (
        "The comparison of seeds above asks whether a difference would be there if the nets were trained again; this "
        "one, whether it would be there on other tweets. Only what both show is to be relied on. Two ways of cleaning "
        f"are compared on the n = {wording.span(sizes)} test tweets that both have{left_out}. For a net, each tweet "
        "counts with the share of the net's seeds that have it right, so that no seed's luck decides."
    )


def _model_sentence(model: str, pairs: list[Pair]) -> str:
    """What is shown; where nothing is, the largest difference."""
    shown = [pair for pair in pairs if statistics.is_shown(pair.gap, pair.q)]
    if not shown:
        one = max(pairs, key=lambda pair: abs(pair.gap.value))
        rest = "" if len(pairs) == 1 else ", and the other pairs differ no more"
        return f"{wording.capital(model)}: {one.first} can't be told apart from {one.second} ({_gap(one)}){rest}."
    clauses = [
        f"{one.first} {'beats' if one.gap.value > 0 else 'loses to'} {one.second} ({_gap(one)})" for one in shown
    ]
    if len(shown) < len(pairs):
        clauses.append("no other difference is shown")
    return f"{wording.capital(model)}: {'; '.join(clauses)}."


def _gap(pair: Pair) -> str:
    return f"{wording.points_with_interval(pair.gap)}, {wording.p_phrase(pair.q, 'adjusted p')}"


def _pairs_table(grid: Grid, pairs: list[Pair]) -> Table:
    rows = [
        {"compared": f"{pair.first} \u2212 {pair.second}", "model": pair.model}
        | blocks.with_bounds("gap", pair.gap)
        | {"p": pair.gap.p, "q": pair.q}
        | {"by_seed": ", ".join(wording.points(gap.value) for gap in pair.by_seed) or None}
        | {"seeds_shown": f"{pair.seeds_shown} of {len(pair.by_seed)}" if pair.by_seed else None}
        | {"tweets": pair.gap.n, "only_first": pair.only_first, "only_second": pair.only_second}
        for pair in pairs
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
    seeds = sum(len(pair.by_seed) for pair in pairs)
    caption = (
        f"Grid {grid.name}: test accuracy under the first cleaning less that under the second, on the tweets that both "
        "have, with its 95 % interval. Nets of several seeds: paired t-test over tweets; the baseline and every seed "
        "by itself: exact McNemar test. p-values are adjusted together for "
        f"{wording.plural(len(pairs), 'comparison')}, those of single seeds for {wording.plural(seeds, 'test')} "
        "(Benjamini-Hochberg)."
    )
    return Table(f"cleaning-pairs-{grid.name}", caption, columns, rows)
