"""What does ELMo add, what does it cost, and which of its layers are used."""

from collections import defaultdict
from statistics import fmean

from report import statistics
from report.compare.answers import accuracy_of
from report.compare.datasets import best_of
from report.compare.findings import Findings
from report.compare.matching import comparable
from report.compare.usage import usage_of
from report.questions.question import Question
from report.read.load import CompletedRun
from report.render import blocks, wording
from report.render.blocks import Block, Card, Figure, Table, Text
from report.render.charts.intervals import Line, ValueAxis, interval_figure
from report.render.charts.lines import Axis, Point, Series, line_figure
from report.render.markdown import joined, strong
from report.sections.names import RANDOM_MARK

_LAYERS = ("context-free", "first LSTM layer", "top LSTM layer")


def elmo(findings: Findings) -> Question:
    """Gain, cost and layers of all runs on the main data set."""
    runs = findings.main.runs if findings.main else []
    with_elmo = [run for run in runs if run.config.elmo]
    if not with_elmo:
        return Question([])
    content: list[Block] = []
    if any(run.is_random for run in with_elmo):
        warning = "Models with this mark have random numbers for weights: their scores say nothing about ELMo."
        content.append(Text(joined([strong(f"[{RANDOM_MARK}]"), warning])))
    if gain := _gain(findings):
        content.append(Text(gain))
    cards = [Card("Is ELMo worth what it costs?", [*content, _cost_figure(runs)])]
    if mixed := [run for run in comparable(with_elmo) if run.result.mixture]:
        cards.append(Card("Which of ELMo\u2019s layers does a net mix?", [_layers_figure(mixed)]))
    return Question(cards, [_cost_table(runs)])


def _gain(findings: Findings) -> str | None:
    """The best configuration with ELMo against the best one without; one of them is recommended, the other a rival."""
    advice, configurations = findings.advice, findings.main.configurations if findings.main else []
    both = [best_of(one for one in configurations if bool(one.config.elmo) == has_elmo) for has_elmo in (True, False)]
    if advice is None or both[0] is None or both[1] is None:
        return None
    seconds = [usage_of(one.runs).seconds / len(one.runs) for one in both if one]
    scores = [wording.percent(one.mean("test", "accuracy")) for one in both if one]
    text = (
        f"Of the configurations that are best on validation tweets, the one with ELMo has {scores[0]} % of test tweets "
        f"right, the one without {scores[1]} %; a run took {wording.duration(seconds[0])} against "
        f"{wording.duration(seconds[1])} ({seconds[0] / max(seconds[1], 1e-9):.1f} times as long)."
    )
    gaps = {id(rival.configuration): rival.gap for rival in advice.rivals}
    gap = gaps[id(both[0])].reversed if id(both[0]) in gaps else gaps.get(id(both[1]))
    if gap is None:
        return f"{text} Their tweets can't be matched here, so they are not compared."
    verdict = "" if gap.is_shown else ": not shown to differ from zero"
    return f"{text} On the n = {gap.n:,} test tweets that both have, that is {wording.claim(gap)}{verdict}."


def _groups(runs: list[CompletedRun]) -> dict[str, list[CompletedRun]]:
    """By what the vectors come from."""
    groups: dict[str, list[CompletedRun]] = defaultdict(list)
    for run in runs:
        name = "no ELMo"
        if run.config.elmo:
            mark = f" [{RANDOM_MARK}]" if run.is_random else ""
            cache = "" if run.config.elmo.cached else ", not cached"
            name = f"ELMo {wording.shortened(run.config.elmo.model, 40)}{cache}{mark}"
        groups[name].append(run)
    return groups


def _minutes(run: CompletedRun) -> float:
    return usage_of([run]).seconds / 60


def _unit(runs: list[CompletedRun]) -> str:
    devices = {"CPU" if run.record.attempts[-1].device == "cpu" else "GPU" for run in runs}
    return f"{next(iter(devices))}-minutes" if len(devices) == 1 else "minutes"


def _cost_figure(runs: list[CompletedRun]) -> Figure:
    lines = [
        Series(
            name,
            [
                Point(_minutes(run), 100 * accuracy_of(run), f"{name}: {wording.percent(accuracy_of(run))} %")
                for run in of_group
            ],
            "points",
        )
        for name, of_group in _groups(runs).items()
    ]
    caption = (
        f"Test accuracy against what a run took, all attempts together with preparation, n = {len(runs)} runs. Runs "
        "differ in more than their vectors, so this shows what was spent and not what ELMo adds."
    )
    axes = Axis(f"{_unit(runs)} per run", is_log=True), Axis("test accuracy (%)")
    return line_figure("elmo-cost", "Accuracy against cost", caption, lines, axes)


def _cost_table(runs: list[CompletedRun]) -> Table:
    rows = []
    for name, of_group in sorted(_groups(runs).items()):
        scores = [accuracy_of(run) for run in of_group]
        row = {"model": name, "runs": len(of_group), "minutes": fmean(map(_minutes, of_group)), "best": max(scores)}
        rows.append(row | {"accuracy": fmean(scores), "accuracy_sd": statistics.deviation(scores)})
    columns = [
        blocks.text("Vectors", "model"),
        blocks.count("Runs", "runs"),
        blocks.number(f"{wording.capital(_unit(runs))} per run", "minutes", 2),
        blocks.percent("Test accuracy, %", "accuracy"),
        blocks.percent("Best, %", "best"),
    ]
    return Table("elmo-cost", "Mean cost and accuracy by vectors (\u00b1 standard deviation over runs).", columns, rows)


def _layers_figure(runs: list[CompletedRun]) -> Figure:
    shares = zip(*(run.result.mixture or () for run in runs), strict=False)
    lines = [Line(name, statistics.mean_share(of_layer)) for name, of_layer in zip(_LAYERS, shares, strict=False)]
    caption = (
        f"Learned weight of each of ELMo's layers (ScalarMix): mean over n = {len(runs)} runs that mix them, with "
        "Student's 95 % interval over these."
    )
    return interval_figure(
        "elmo-layers", "Learned weights of ELMo's layers", caption, lines, ValueAxis("learned weight (%)")
    )
