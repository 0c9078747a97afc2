"""The answer in one screen: which model to use, how sure that is, what it costs, and how to use it."""

from report.analysis.comparison.advice import Advice, Cost, cost_of, score_of
from report.analysis.comparison.datasets import Configuration, Dataset
from report.analysis.findings import Findings
from report.render import drawing, wording
from report.render.blocks import Block, Bullets, Command, Facts, Figure, ReportSection, Text
from report.render.charts.intervals import Line, ValueAxis, interval_figure
from report.render.markdown import joined, strong
from report.sections.names import (
    LEXICON_REMARK,
    RANDOM_MARK,
    configuration_name,
    dataset_name,
    model_name,
    other_settings,
)
from report.sections.remarks import METHODS, predict_command, warnings
from report.statistics import Difference, is_shown, mean_share, measured_accuracy
from sentiment.records import Recommendation

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
            Command("To use it", predict_command(advice.run, findings.study.results, _model_to_name(advice))),
            Facts(_facts(advice)),
            _figure(advice, dataset),
        ]
    if limits := warnings(findings):
        content.append(Bullets(limits))
    return ReportSection("The answer", content)


def _headline(advice: Advice) -> object:
    """What to use. A net that is not shown to beat the linear baseline is never recommended without it."""
    one, gap = advice.configuration, advice.above_baseline
    name, settings = model_name(one.config), other_settings(one)
    said = f"{wording.capital(', '.join(settings))}. " if settings else ""
    right = f"It has {wording.percent(score_of(one).value)}\u00a0% of test tweets right"
    if gap is None:
        return joined([strong(f"Use {name}."), f"{said}{right}."])
    points, baseline = wording.percent(abs(gap.value)), advice.run.result.baseline["test"].accuracy
    beside = f"{wording.percent(baseline)}\u00a0%"
    if not is_shown(gap):
        equal = f"no difference from the linear baseline ({beside}) is shown."
        return joined([strong(f"Use {name}, or the linear baseline."), f"{said}{right}; {equal}"])
    if advice.is_baseline:
        fewer = f"The best net, {name}, has {points} points fewer than the linear baseline ({beside})."
        return joined([strong("Use the linear baseline."), fewer])
    return joined([strong(f"Use {name}."), f"{said}{right}, {points} points more than the linear baseline."])


def _facts(advice: Advice) -> list[tuple[str, object]]:
    one, score, cost = advice.configuration, advice.score, cost_of(advice.configuration)
    over = f"mean of {len(one.runs)} seeds" if len(one.runs) > 1 else "one seed, over tweets"
    whose = " of the best net" if advice.is_baseline else ""
    facts: list[tuple[str, object]] = [(f"Test accuracy{whose}", f"{wording.share(score)}, {over}")]
    if gap := advice.above_baseline:
        verdict = "" if is_shown(gap) else ": not shown to differ"
        facts.append(("Against the linear baseline", f"{_points(gap)}{verdict}"))
    facts += [("Not told apart", _equals(advice)), ("Cheapest of these", _cheapest(advice))]
    facts += [("It took", _cost(cost)), ("Predicts with", _predicts_with(advice))]
    return [*facts, *_second_test(advice)]


def _points(gap: Difference) -> str:
    shown = f"{wording.points(gap.value)} points"
    return shown if gap.low is None else f"{shown} ({wording.points(gap.low)} to {wording.points(gap.high)})"


def _equals(advice: Advice) -> str:
    equals, others = advice.equals, len(advice.rivals)
    if not others:
        return "nothing else was trained on these tweets"
    if not equals:
        return f"none: all {others} others are shown to be worse"
    return f"{len(equals)} of {wording.plural(others, 'other')} can't be told apart from it"


def _cheapest(advice: Advice) -> str:
    cheapest = advice.cheapest
    seconds = wording.duration(cost_of(cheapest).seconds)
    if cheapest is advice.configuration:
        return f"itself, {seconds} a run"
    return f"{configuration_name(cheapest)}: {wording.percent(score_of(cheapest).value)} %, {seconds} a run"


def _cost(cost: Cost) -> str:
    hours = f"{cost.usage.gpu_hours:.2g} GPU-hours" if cost.usage.gpu_hours else f"{cost.usage.cpu_hours:.2g} CPU-hours"
    energy = 1000 * cost.usage.kilowatt_hours
    return (
        f"{wording.duration(cost.seconds)} a run; {hours} and about {energy:.2g} Wh in all; "
        f"{cost.tweets_per_second:,.0f} training tweets a second"
    )


def _model_to_name(advice: Advice) -> Recommendation | None:
    """What to ask of the run as it is the answer; None: what the run itself recommends, or it saved no baseline."""
    return "baseline" if advice.is_baseline and advice.run.result.recommended else None


def _predicts_with(advice: Advice) -> str:
    if named := _model_to_name(advice):
        return f"{_USED[named]}, which the run has saved"
    return _USED.get(str(advice.run.result.recommended or "network"), "the net") + ", by validation tweets"


def _second_test(advice: Advice) -> list[tuple[str, object]]:
    facts: list[tuple[str, object]] = []
    if values := advice.configuration.values("second_test", "accuracy"):
        metrics = advice.run.result.metrics["second_test"]
        share = mean_share(values) if len(values) > 1 else measured_accuracy(metrics)
        facts.append(("Second test set", f"{wording.share(share)}, {metrics.n:,} tweets"))
    return facts


def _figure(advice: Advice, dataset: Dataset) -> Figure:
    """The recommended configuration, the next ones and the cheapest, beside what needs no net."""
    equals = [rival.configuration for rival in advice.equals]
    shown = [advice.configuration, *equals[: _MOST_LINES - 1]]
    if advice.cheapest not in shown:
        shown.append(advice.cheapest)
    lines = [
        Line(_line_name(one, advice), score_of(one), drawing.BLUE if place == 0 else drawing.SKY)
        for place, one in enumerate(shown)
    ]
    result = advice.run.result
    baseline = measured_accuracy(result.baseline["test"])
    lines.append(Line("Linear baseline", baseline, drawing.ORANGE))
    if result.lexicon:
        lines.append(
            Line("VADER\u2019s lexicon, not trained", measured_accuracy(result.lexicon["test"]), drawing.MUTED)
        )
    seeds = "over seeds" if any(len(one.runs) > 1 for one in shown) else "over tweets"
    left = len(advice.equals) + 1 - len(shown)
    more = f" {left:,} more can't be told apart." if left > 1 else " One more can't be told apart." if left else ""
    remark = f" {LEXICON_REMARK}" if dataset.from_lexicon_authors else ""
    caption = joined(
        [
            f"Test accuracy with 95 % intervals: nets {seeds}, others over n = {baseline.n:,} tweets of "
            f"{dataset_name(dataset)}. Light: not told apart from the first.{more}{remark}",
            METHODS,
        ]
    )
    alt = "Test accuracy of the recommended model, its equals and the baseline"
    return interval_figure("answer", alt, caption, lines, ValueAxis("accuracy (%)", reference=baseline.value))


def _line_name(one: Configuration, advice: Advice) -> str:
    mark = ""
    if one is advice.configuration:
        mark = "\u2605 "
    elif one is advice.cheapest:
        mark = "cheapest: "
    return wording.shortened(mark + configuration_name(one), _LONGEST_NAME)
