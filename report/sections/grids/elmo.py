"""ELMo: which model, layers, dropout and L2 are best, what it costs, and which layers are used."""

from report import statistics
from report.analysis.findings import ElmoGain, Findings
from report.analysis.measures.usage import usage_of
from report.analysis.questions.effects import test_accuracy
from report.read.load import CompletedRun
from report.render import blocks, wording
from report.render.blocks import Block, Heading, ReportSection, Row, Table, Text
from report.render.charts.cost import Costly, cost_figure, mixture_figure
from report.render.markdown import joined, strong
from report.sections.names import RANDOM_MARK, run_name

_MOST_MIXTURES = 24
_LAYERS = ("context-free", "first", "top")


def elmo(findings: Findings) -> ReportSection:
    """Every grid that varies ELMo, then cost and mixtures of all runs with it on the first data set."""
    content: list[Block] = []
    runs = findings.main.runs if findings.main else []
    with_elmo = [run for run in runs if run.config.elmo]
    if with_elmo:
        if any(run.is_random for run in with_elmo):
            warning = "Models with this mark have random numbers for weights: their scores say nothing about ELMo."
            content.insert(0, Text(joined([strong(f"[{RANDOM_MARK}]"), warning])))
        gain = [Text(_gain_sentences(findings.elmo_gain))] if findings.elmo_gain else []
        content += [*gain, *_cost_blocks(runs), *_mixture_blocks(with_elmo)]
    return ReportSection("ELMo", content)


def _gain_sentences(gain: ElmoGain) -> str:
    """The best configuration with ELMo against the best without, on the same tweets."""
    with_elmo, without = (usage_of(one.runs).seconds / len(one.runs) for one in (gain.with_elmo, gain.without))
    scores = [one.mean("test", "accuracy") for one in (gain.with_elmo, gain.without)]
    text = (
        f"Of the configurations that are best on validation tweets, the one with ELMo has "
        f"{wording.percent(scores[0])} % of test tweets right, the one without {wording.percent(scores[1])} %; "
        f"a run took {wording.duration(with_elmo)} against {wording.duration(without)} "
        f"({with_elmo / max(without, 1e-9):.1f} times as long)."
    )
    gap = gain.gap
    if gap is None:
        return f"{text} Their tweets can't be matched here, so they are not compared."
    verdict = "" if gap.is_shown else ": not shown to differ from zero"
    return f"{text} On the n = {gap.n:,} test tweets that both have, that is {wording.claim(gap)}{verdict}."


def _cost_blocks(runs: list[CompletedRun]) -> list[Block]:
    devices = {"CPU" if run.record.attempts[-1].device == "cpu" else "GPU" for run in runs}
    unit = f"{next(iter(devices))}-minutes" if len(devices) == 1 else "minutes"
    costly = [Costly(_group(run), _minutes(run), test_accuracy(run), _is_cached(run)) for run in runs]
    caption = (
        f"Test accuracy against what a run took, all attempts together with preparation, n = {len(runs)} runs, log "
        "axis. Hollow: ELMo's vectors were computed anew for every batch; filled: read from the cache, or no ELMo."
    )
    figure = cost_figure("elmo-cost", "Accuracy against cost", caption, costly, unit)
    return [Heading("What it costs"), figure, _cost_table(runs, unit)]


def _cost_table(runs: list[CompletedRun], unit: str) -> Table:
    rows: list[Row] = []
    for group, cached in sorted({(_group(run), _is_cached(run)) for run in runs}):
        of_group = [run for run in runs if (_group(run), _is_cached(run)) == (group, cached)]
        scores = [test_accuracy(run) for run in of_group]
        has_elmo = of_group[0].config.elmo is not None
        rows.append(
            {
                "model": group,
                "cache": wording.DASH if not has_elmo else "on" if cached else "off",
                "runs": len(of_group),
                "minutes": statistics.mean([_minutes(run) for run in of_group]).value,
                "accuracy": statistics.mean(scores).value,
                "accuracy_sd": statistics.deviation(scores),
                "best": max(scores),
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
    caption = (
        "Mean cost and accuracy (\u00b1 standard deviation over runs). Rows differ in more than their vectors, so they "
        "show what was spent and not what ELMo adds."
    )
    return Table("elmo-cost", caption, columns, rows)


def _minutes(run: CompletedRun) -> float:
    return usage_of([run]).seconds / 60


def _group(run: CompletedRun) -> str:
    if run.config.elmo is None:
        return "no ELMo"
    mark = f" [{RANDOM_MARK}]" if run.is_random else ""
    return f"ELMo {wording.shortened(run.config.elmo.model, 40)}{mark}"


def _is_cached(run: CompletedRun) -> bool:
    return run.config.elmo is None or run.config.elmo.cached


def _mixture_blocks(runs: list[CompletedRun]) -> list[Block]:
    """The weights that the runs which mix ELMo's layers have learned."""
    mixed = [(run, run.result.mixture) for run in runs if run.result.mixture]
    if not mixed:
        return []
    shown = mixed[:_MOST_MIXTURES]
    names = [run_name(run) for run, _ in shown]
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
