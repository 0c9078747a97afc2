"""The answer in one screen: which model to use, how sure that is, what it costs, and how to use it."""

from report.compare.advice import Advice, Cost, cost_of, score_of
from report.compare.datasets import Configuration, Dataset
from report.compare.findings import Findings
from report.render import drawing, wording
from report.render.blocks import Block, Bullets, Command, Facts, Figure, ReportSection, Text
from report.render.charts.intervals import Line, ValueAxis, interval_figure
from report.render.markdown import joined, strong
from report.sections.elsewhere import worse_than_the_lexicon
from report.sections.names import (
    LEXICON_REMARK,
    METHODS,
    RANDOM_MARK,
    configuration_name,
    dataset_name,
    model_name,
    other_settings,
    predict_command,
    warnings,
)
from report.statistics import Difference, measured_accuracy

_MOST_LINES = 5
_LONGEST_NAME = 60
_USED = {"network": "the net", "baseline": "the linear baseline", "both": "the mean of net and baseline"}


def answer(findings: Findings) -> ReportSection:
    """One recommendation with its uncertainty and its price; then what limits it."""
    dataset, advice = findings.main, findings.advice
    content: list[Block]
    if dataset is None or advice is None:
        why = f"All completed runs read {RANDOM_MARK} in place of ELMo" if dataset else "No run is completed yet"
        content = [Text(strong(f"{why}, so there is no answer yet."))]
    else:
        content = [
            Text(_headline(advice), is_lead=True),
            *(Text(strong(sentence)) for sentence in worse_than_the_lexicon(findings)),
            Command(
                "To try it all the same" if _is_refuted(advice) else "To use it",
                predict_command(advice.run, findings.study.results, advice.to_name),
            ),
            Facts(_facts(advice, dataset)),
            _figure(advice, dataset),
        ]
    if limits := warnings(findings):
        content.append(Bullets(limits))
    return ReportSection("The answer", content)


def _is_refuted(advice: Advice) -> bool:
    """Whether test tweets show that what validation tweets chose is worse than the linear baseline."""
    gap = advice.above_baseline
    return not advice.is_baseline and gap is not None and gap.is_shown and gap.value < 0


def _headline(advice: Advice) -> object:
    """What to use, as validation tweets say, and what test tweets say of it."""
    one, gap = advice.configuration, advice.above_baseline
    name, settings = model_name(one.config), other_settings(one)
    if advice.predicts == "both":
        name = f"the mean of {name} and the linear baseline"
    said = f"{wording.capital(', '.join(settings))}. " if settings else ""
    right = f"has {wording.percent(advice.score.value)}\u00a0% of test tweets right"
    if advice.is_baseline:
        return joined([strong("Use the linear baseline."), f"It {right}. {_behind(advice, name)}"])
    baseline = f"the linear baseline ({wording.percent(advice.run.result.baseline['test'].accuracy)}\u00a0%)"
    if gap is None:
        return joined([strong(f"Use {name}."), f"{said}It {right}."])
    if not gap.is_shown:
        equal = f"no difference from {baseline}, which is cheaper, is shown."
        return joined([strong(f"Use {name}, or the linear baseline."), f"{said}It {right}; {equal}"])
    points = wording.percent(abs(gap.value))
    if _is_refuted(advice):
        worse = f"It {right}, {points} points fewer than {baseline}: what validation tweets chose does not hold."
        return joined([strong(f"Don\u2019t use {name}."), worse])
    return joined([strong(f"Use {name}."), f"{said}It {right}, {points} points more than {baseline}."])


def _behind(advice: Advice, name: str) -> str:
    gap = advice.above_baseline
    if gap is None:
        return f"The best net, {name}, was not compared with it."
    if not gap.is_shown:
        return f"No difference from the best net, {name}, is shown."
    fewer = "fewer" if gap.value < 0 else "more"
    return f"The best net, {name}, has {wording.percent(abs(gap.value))} points {fewer}."


def _facts(advice: Advice, dataset: Dataset) -> list[tuple[str, object]]:
    facts: list[tuple[str, object]] = [
        ("Predicts with", f"{_USED[advice.predicts]}, by validation tweets"),
        ("Test accuracy", f"{wording.share(advice.score)}, {_over(advice)}"),
    ]
    if gap := advice.above_baseline:
        whose = "The net against the linear baseline" if advice.is_baseline else "Against the linear baseline"
        verdict = "" if gap.is_shown else ": no difference shown"
        these = f"; {wording.THESE_MODELS}" if gap.of_these_models else ""
        facts.append((whose, f"{_points(gap)}{verdict}{these}"))
    if not advice.is_baseline:
        facts += [("No difference shown to", _equals(advice, dataset)), ("Cheapest of these", _cheapest(advice))]
        facts += [("It took", _cost(cost_of(advice.configuration)))]
    return facts


def _over(advice: Advice) -> str:
    if advice.is_baseline:
        return f"{advice.run.result.baseline['test'].n:,} tweets"
    seeds = len(advice.configuration.runs)
    return f"mean of {seeds} seeds" if seeds > 1 else "one seed"


def _points(gap: Difference) -> str:
    shown = f"{wording.points(gap.value)} points"
    return shown if gap.low is None else f"{shown} ({wording.points(gap.low)} to {wording.points(gap.high)})"


def _equals(advice: Advice, dataset: Dataset) -> str:
    equals, rivals = len(advice.equals), len(advice.rivals)
    if missing := sum(not one.is_random for one in dataset.configurations) - 1 - rivals:
        left_out = f"{missing:,} not compared"
        return f"{equals:,} of {wording.plural(rivals, 'other net')}; {left_out}" if rivals else left_out
    if not rivals:
        return "nothing else was trained on these tweets"
    if not equals:
        return f"none: all {rivals:,} other nets are shown to be worse"
    return f"{equals:,} of {wording.plural(rivals, 'other net')}"


def _cheapest(advice: Advice) -> str:
    seconds = wording.duration(cost_of(advice.cheapest).seconds)
    if advice.cheapest is advice.configuration:
        return f"itself, {seconds} a run"
    accuracy = wording.percent(advice.cheapest.mean("test", "accuracy"))
    return f"{configuration_name(advice.cheapest)}: {accuracy} %, {seconds} a run"


def _cost(cost: Cost) -> str:
    hours = f"{cost.usage.gpu_hours:.2g} GPU-hours" if cost.usage.gpu_hours else f"{cost.usage.cpu_hours:.2g} CPU-hours"
    speed = f"{cost.tweets_per_second:,.0f} training tweets a second"
    return f"{wording.duration(cost.seconds)} a run; {hours} in all; {speed}"


def _figure(advice: Advice, dataset: Dataset) -> Figure:
    """The recommended configuration, the next ones and the cheapest, beside what needs no net."""
    equals = [rival.configuration for rival in advice.equals]
    shown = [advice.configuration, *equals[: _MOST_LINES - 1]]
    if advice.cheapest not in shown:
        shown.append(advice.cheapest)
    lines = [
        Line(_line_name(one, advice), score_of(one, dataset), drawing.BLUE if place == 0 else drawing.SKY)
        for place, one in enumerate(shown)
    ]
    result = advice.run.result
    baseline = measured_accuracy(result.baseline["test"])
    mark = "\u2605 " if advice.is_baseline else ""
    if advice.predicts == "both":
        lines.insert(0, Line("\u2605 Mean of the next and the linear baseline", advice.score))
    lines.append(Line(f"{mark}Linear baseline", baseline, drawing.ORANGE))
    lines.append(Line("VADER\u2019s lexicon, not trained", measured_accuracy(result.lexicon["test"]), drawing.MUTED))
    left = len(advice.equals) + 1 - len(shown)
    more = (
        f" {left:,} more are not shown to differ." if left > 1 else " One more is not shown to differ." if left else ""
    )
    remark = f" {LEXICON_REMARK}" if dataset.from_lexicon_authors else ""
    caption = joined(
        [
            f"Test accuracy with 95 % intervals, n = {baseline.n:,} tweets of {dataset_name(dataset)}. Light: nets "
            f"that are not shown to differ from the best.{more}{remark}",
            METHODS,
        ]
    )
    alt = "Test accuracy of the recommended model, its equals and the baseline"
    return interval_figure("answer", alt, caption, lines, ValueAxis("accuracy (%)", reference=baseline.value))


def _line_name(one: Configuration, advice: Advice) -> str:
    mark = ""
    if one is advice.configuration and advice.predicts == "network":
        mark = "\u2605 "
    elif one is advice.cheapest and advice.equals:
        mark = "cheapest: "
    return wording.shortened(mark + configuration_name(one), _LONGEST_NAME)
