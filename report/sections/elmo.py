"""ELMo: which model, layers, dropout and L2 are best, what it costs, and which layers are used."""

from report.analysis import statistics
from report.analysis.common_tweets import Matcher
from report.analysis.datasets import Dataset
from report.analysis.effects import test_accuracy
from report.analysis.grid_kind import Kind, kind_of
from report.read.load import RANDOM_MARK, CompletedRun, Study
from report.read.predictions import read_scores
from report.render import blocks, wording
from report.render.blocks import Block, Heading, ReportSection, Row, Table, Text
from report.render.charts.cost import Costly, cost_figure, mixture_figure
from report.render.markdown import joined, strong
from report.sections.grids import curve_blocks, grid_blocks
from sentiment.errors import RunDirError

_MOST_MIXTURES = 24
_LAYERS = ("context-free", "first", "top")


def elmo(study: Study, found: list[Dataset]) -> ReportSection:
    """Every grid that varies ELMo, then cost and mixtures of all runs with it on the first data set."""
    content: list[Block] = []
    for grid in study.grids:
        if kind_of(grid) is Kind.ELMO:
            content += [*grid_blocks(grid), *curve_blocks(grid, study)]
    runs = [run for dataset in found[:1] for run in dataset.runs]
    with_elmo = [run for run in runs if run.config.elmo]
    if with_elmo:
        if any(run.is_random for run in with_elmo):
            warning = "Models marked so have random numbers for weights: their scores say nothing about ELMo."
            content.insert(0, Text(joined([strong(f"[{RANDOM_MARK}]"), warning])))
        content += [*_against_plain(found[0], study), *_cost_blocks(runs), *_mixture_blocks(with_elmo)]
    return ReportSection("ELMo", content)


def _against_plain(dataset: Dataset, study: Study) -> list[Block]:
    """The best configuration with ELMo against the best without, on the same tweets."""
    usable = [one for one in dataset.configurations if not one.is_random]
    with_elmo = next((one.chosen for one in usable if one.runs[0].config.elmo), None)
    plain = next((one.chosen for one in usable if not one.runs[0].config.elmo), None)
    if with_elmo is None or plain is None:
        return []
    ratio = with_elmo.seconds / max(plain.seconds, 1e-9)
    text = (
        f"With ELMo the best run reaches {_share(with_elmo)}, without it {_share(plain)}, by Wilson's 95 % intervals; "
        f"it took {wording.duration(with_elmo.seconds)} against {wording.duration(plain.seconds)} ({ratio:.1f} times "
        "as long)."
    )
    gap = _gap(with_elmo, plain, study)
    if gap is None:
        return [Text(f"{text} Their tweets can't be matched here, so they are not compared tweet by tweet.")]
    verdict = "" if statistics.is_shown(gap) else ", which is not shown to differ from nothing"
    return [Text(f"{text} On the n = {gap.n:,} test tweets that both have, that is {wording.tested(gap)}{verdict}.")]


def _share(run: CompletedRun) -> str:
    return wording.share(statistics.measured_accuracy(run.result.metrics["test"]))


def _gap(first: CompletedRun, second: CompletedRun, study: Study) -> statistics.McNemar | None:
    """None where predictions cannot be read, which is named among the problems already, or tweets not be matched."""
    try:
        scores = [read_scores(run, "test") for run in (first, second)]
    except RunDirError:
        return None
    if scores[0] is None or scores[1] is None:
        return None
    common = Matcher(study.results).common(scores[0], scores[1])
    if common is None or not common.n:
        return None
    return common.mcnemar(*(one.right(one.model) for one in (scores[0], scores[1])))


def _cost_blocks(runs: list[CompletedRun]) -> list[Block]:
    devices = {"CPU" if run.record.attempts[-1].device == "cpu" else "GPU" for run in runs}
    unit = f"{next(iter(devices))}-minutes" if len(devices) == 1 else "minutes"
    costly = [Costly(_group(run), run.seconds / 60, test_accuracy(run), _is_cached(run)) for run in runs]
    caption = (
        f"Test accuracy against what a run took, all attempts together with preparation, n = {len(runs)} runs, log "
        "axis. Hollow: ELMo's vectors were computed anew for every batch; filled: read from the cache, or no ELMo."
    )
    names = sorted({(_group(run), _is_cached(run)) for run in runs})
    rows: list[Row] = []
    for group, cached in names:
        of_group = [run for run in runs if (_group(run), _is_cached(run)) == (group, cached)]
        minutes = statistics.mean([run.seconds / 60 for run in of_group])
        score = statistics.mean([test_accuracy(run) for run in of_group])
        rows.append(
            {
                "model": group,
                "cache": "on"
                if cached and of_group[0].config.elmo
                else "off"
                if of_group[0].config.elmo
                else wording.DASH,
                "runs": len(of_group),
                "minutes": minutes.value,
                "accuracy": score.value,
                "accuracy_sd": statistics.deviation([test_accuracy(run) for run in of_group]),
                "best": max(test_accuracy(run) for run in of_group),
            }
        )
    columns = [
        blocks.text("Vectors", "model"),
        blocks.text("Cache", "cache"),
        blocks.count("Runs", "runs"),
        blocks.number(f"{wording.capital(unit)} per run", "minutes", 2),
        blocks.percent("Test accuracy, %", "accuracy"),
        blocks.percent("Best, %", "best"),
    ]
    figure = cost_figure("elmo-cost", "Accuracy against cost", caption, costly, unit)
    caption = (
        "Mean cost and accuracy (\u00b1 standard deviation over runs). Rows differ in more than their vectors, so they "
        "show what was spent and not what ELMo adds."
    )
    return [
        Heading("What it costs"),
        figure,
        Table("elmo-cost", caption, columns, rows),
    ]


def _group(run: CompletedRun) -> str:
    if run.config.elmo is None:
        return "no ELMo"
    mark = f" [{RANDOM_MARK}]" if run.is_random else ""
    return f"ELMo {wording.shortened(run.config.elmo.model, 40)}{mark}"


def _is_cached(run: CompletedRun) -> bool:
    return run.config.elmo is None or run.config.elmo.cached


def _mixture_blocks(runs: list[CompletedRun]) -> list[Block]:
    """Which of ELMo's layers the runs that mix them came to use."""
    mixed = [(run, run.result.mixture) for run in runs if run.result.mixture]
    if not mixed:
        return []
    shown = mixed[:_MOST_MIXTURES]
    names = [run.title for run, _ in shown]
    weights = [list(mixture) for _, mixture in shown]
    caption = (
        f"Learned weight of each of ELMo's layers (ScalarMix), {len(shown)} of n = {len(mixed)} runs that mix them."
    )
    sentences = []
    for layer, name in enumerate(_LAYERS):
        share = statistics.mean([mixture[layer] for _, mixture in mixed if len(mixture) > layer])
        spread = "" if share.half_width is None else f" \u00b1 {wording.percent(share.half_width)}"
        sentences.append(f"{name} {wording.percent(share.value)}{spread} %")
    rows: list[Row] = [
        {"run": name, **dict(zip(_LAYERS, mixture, strict=False))} for name, mixture in zip(names, weights, strict=True)
    ]
    columns = [blocks.text("Run", "run"), *(blocks.percent(f"{wording.capital(one)}, %", one) for one in _LAYERS)]
    return [
        Heading("Which layers are used"),
        Text(
            f"Mean weight over {wording.plural(len(mixed), 'run')} (Student's 95 % interval): "
            f"{wording.listing(sentences)}."
        ),
        mixture_figure("elmo-layers", "Learned weights of ELMo's layers", caption, names, weights),
        Table("elmo-layers", "The same in numbers.", columns, rows, folded=True),
    ]
