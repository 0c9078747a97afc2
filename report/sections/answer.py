"""The answer: the best model, how sure that is, what it is better than, and one sentence for each question."""

from collections import Counter
from pathlib import PurePath

from report.analysis.datasets import Configuration, Dataset
from report.analysis.findings import Findings
from report.analysis.grids import GridFindings
from report.read.load import CompletedRun
from report.read.published import BEST_OF_STUDY, PLAIN_CEILING, STUDY
from report.render import wording
from report.render.blocks import Block, Bullets, Figure, Heading, ReportSection, Text
from report.render.charts import style
from report.render.charts.intervals import Line, ValueAxis, interval_figure
from report.render.markdown import emphasis, joined, strong
from report.sections.grids import effect_sentence
from report.sections.labels import label_sentence
from report.sections.names import LEXICON_REMARK, RANDOM_MARK, configuration_name, dataset_name, state_name
from report.sections.search import search_sentence
from report.statistics import Estimate, McNemar, is_shown, mean, measured_accuracy
from sentiment.records import Metrics, Part, Result

_HOW_SETTINGS_ARE_COMPARED = (
    "Of each setting, the best value is compared with the others over pairs of runs that differ in nothing else: mean "
    "difference of test accuracy \u00b1 Student's 95 % interval, paired t-test, p adjusted for all comparisons of the "
    "grid (Benjamini-Hochberg). As all runs are tested on the same tweets, this says what would come of training "
    "again, not of other tweets."
)


def answer(findings: Findings) -> ReportSection:
    """The best model first, then the questions of the grids, then what limits the answer."""
    content: list[Block] = []
    dataset = findings.main
    if dataset and dataset.best:
        content += [Text(_headline(dataset.best, dataset)), _figure(dataset.best, dataset)]
        content.append(Bullets(_details(dataset.best, dataset)))
    else:
        why = f"All completed runs read {RANDOM_MARK} in place of ELMo" if dataset else "No run is completed yet"
        content.append(Text(strong(f"{why}, so there is no answer yet.")))
    if questions := [sentence for found in findings.grids if (sentence := _question(found))]:
        content += [Heading("Question by question"), Text(_HOW_SETTINGS_ARE_COMPARED), Bullets(questions)]
    if warnings := _warnings(findings):
        content += [Heading("To bear in mind"), Bullets(warnings)]
    return ReportSection("The answer", content)


def _headline(best: Configuration, dataset: Dataset) -> object:
    run = best.chosen
    test = run.result.metrics["test"]
    comparison = dataset.comparisons.get(run.run_id)
    verdict = f", {_against_baseline(comparison.baseline)}" if comparison else ""
    first = strong(f"{wording.percent(test.accuracy)}\u00a0% of test tweets right{verdict}: {configuration_name(best)}")
    interval = wording.percent_range(test.accuracy_low, test.accuracy_high)
    against = f"; against the baseline {wording.tested(comparison.baseline)}" if comparison else ""
    return joined([first, f"(95 % interval {interval}, {test.n:,} tweets of {dataset_name(dataset)}{against})."])


def _against_baseline(gap: McNemar) -> str:
    if not is_shown(gap):
        return "not shown to differ from the linear baseline"
    return f"{wording.percent(abs(gap.value))} points {'more' if gap.value > 0 else 'fewer'} than the linear baseline"


def _details(best: Configuration, dataset: Dataset) -> list[str]:
    run = best.chosen
    details = [
        f"It is the best of {wording.plural(len(dataset.configurations), 'configuration')} by F1 on validation tweets. "
        f"{_linear_baseline(run.result)}"
    ]
    if len(best.runs) > 1:
        over_seeds = mean(best.values("test", "accuracy"))
        details.append(
            f"Over its {len(best.runs)} seeds the mean is {wording.percent(over_seeds.value)} \u00b1 "
            f"{wording.percent(over_seeds.half_width)} % (Student's 95 % interval); the seed above does best on "
            "validation tweets."
        )
    comparison = dataset.comparisons.get(run.run_id)
    if comparison:
        gap = comparison.combination
        verdict = "helps" if gap.value > 0 else "hurts"
        shown = verdict if is_shown(gap) else "makes no difference that can be shown"
        details.append(
            f"Averaging it with the baseline {shown}: {wording.percent(run.result.combination['test'].accuracy)} % "
            f"({wording.tested(gap)}, n = {gap.n:,})."
        )
    if run.result.lexicon:
        right = wording.share(measured_accuracy(run.result.lexicon["test"]))
        remark = f" {LEXICON_REMARK}" if dataset.from_lexicon_authors else ""
        details.append(f"VADER's lexicon, which needs no training, has {right} of the test tweets right.{remark}")
    if "second_test" in run.result.metrics:
        second = run.result.metrics["second_test"]
        details.append(
            f"On the second test set ({_second_test(run)}, {second.n:,} tweets) it reaches "
            f"{wording.share(measured_accuracy(second))}."
        )
    return [*details, _against_published(run, dataset)]


def _linear_baseline(result: Result) -> str:
    """What it is, on which n-grams."""
    characters = result.baseline_settings.get("character_ngrams")
    of = (
        "of words, word pairs and their characters, weighted by naive Bayes,"
        if characters
        else "of words and word pairs,"
    )
    return f"The linear baseline is logistic regression on TF-IDF {of} trained on the same tweets."


def _second_test(run: CompletedRun) -> str:
    """What it consists of: a file, or else the tweets that come with Sentiment140."""
    source = run.config.data.second_test
    return PurePath(source).name if source else "labelled by hand"


def _against_published(run: CompletedRun, dataset: Dataset) -> str:
    test = run.result.metrics["test"]
    verdicts = []
    for one in (PLAIN_CEILING, BEST_OF_STUDY):
        is_above, is_below = test.accuracy_low > one.accuracy, test.accuracy_high < one.accuracy
        place = "lies above" if is_above else "lies below" if is_below else "includes"
        verdicts.append(f"{place} the {wording.percent(one.accuracy)} % published for {one.model}")
    caution = "" if dataset.is_sentiment140 else "; measured on other tweets, so this is for orientation only"
    return f"Its interval {wording.listing(verdicts)} ({one.part} accuracy{caution})."


def _figure(best: Configuration, dataset: Dataset) -> Figure:
    result = best.chosen.result

    def measured(source: dict[Part, Metrics], name: str, colour: str) -> Line:
        return Line(name, measured_accuracy(source["test"]), colour)

    lines = [
        measured(result.metrics, wording.shortened(configuration_name(best), 56), style.BLUE),
        measured(result.combination, "its mean with the baseline", style.GREEN),
        measured(result.baseline, "linear baseline", style.ORANGE),
    ]
    if result.lexicon:
        lines.append(measured(result.lexicon, "VADER's lexicon, not trained", style.ORANGE))
    for one in STUDY:
        bound = f", {one.bound}" if one.bound else ""
        name = f"published: {one.model.removesuffix(' without stop words')}{bound}"
        lines.append(Line(name, Estimate(one.accuracy, None, None, 0), style.MUTED, published=True))
    test = result.metrics["test"]
    caption = (
        f"Test accuracy with Wilson's 95 % interval, n = {test.n:,} tweets of {dataset_name(dataset)}. Hollow dots are "
        "published figures without an interval, measured by others on Sentiment140 (validation or test part)."
    )
    return interval_figure(
        "answer",
        "Test accuracy of the best model, the baseline and the study",
        caption,
        lines,
        ValueAxis("accuracy (%)"),
    )


def _question(found: GridFindings) -> object | None:
    """The grid's question and what its runs answer; None if its plan, which holds the question, cannot be read."""
    grid = found.grid
    if grid.plan is None:
        return None
    asked = joined([strong(grid.name), emphasis(grid.plan.description)])
    if not grid.completed:
        return joined([asked, f"None of its {len(grid.runs):,} runs is completed."])
    sentences = [search_sentence(found.search)] if found.search else _effect_sentences(found)
    if number := sum(run.is_random for run in grid.completed):
        left = "are left out" if number < len(grid.completed) else "say nothing about ELMo"
        sentences.append(f"{wording.plural(number, 'run')} on {RANDOM_MARK} for ELMo's weights {left}.")
    return joined([asked, *sentences])


def _effect_sentences(found: GridFindings) -> list[str]:
    if found.label_curves:
        return [label_sentence(curve) for curve in found.label_curves]
    if not found.effects:
        return [f"Its {wording.plural(len(found.grid.completed), 'completed run')} differ by their seed alone."]
    return [effect_sentence(effect) for effect in found.effects]


def _warnings(findings: Findings) -> list[str]:
    warnings = []
    runs, found = findings.study.runs, findings.datasets
    states = Counter(run.state.state for run in runs if not run.completed)
    if states:
        listed = wording.listing([f"{number:,} {state_name(state)}" for state, number in states.most_common()])
        have = "has" if states.total() == 1 else "have"
        warnings.append(f"{states.total():,} of {wording.plural(len(runs), 'run')} {have} no result: {listed}.")
    single = sum(len(one.runs) == 1 for dataset in found for one in dataset.configurations)
    if single:
        warnings.append(f"{wording.plural(single, 'configuration')} {'has' if single == 1 else 'have'} one seed only.")
    mixed = [one for one in found if len(one.baseline_kinds) > 1]
    if mixed:
        warnings.append(
            f"Runs on {wording.listing([dataset_name(one) for one in mixed])} were compared with different linear "
            f"baselines ({', '.join(mixed[0].baseline_kinds)}): points above the baseline can't be compared there."
        )
    if len(found) > 1:
        warnings.append(f"There are runs on {len(found)} sets of tweets, which can't be compared with each other.")
    return warnings
