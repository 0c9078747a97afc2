"""The answer in one screen: which model to use, how sure that is, what it costs, and how to use it."""

from collections import Counter
from statistics import fmean

from report.compare.advice import Recommended, score_of, seconds_of, usage_of
from report.compare.datasets import Configuration, Dataset
from report.compare.findings import Findings
from report.render import charts, wording
from report.render.blocks import Block, Bullets, Command, Facts, ReportSection, Text
from report.render.charts import Figure, Line, ValueAxis, interval_figure
from report.render.wording import joined, strong
from report.sections import names
from report.sections.models import worse_than_the_lexicon
from report.statistics import Difference, measured_accuracy

_MOST_LINES = 5
_LONGEST_NAME = 60
_STAR = "\u2605 "
_USED = {"network": "the net", "baseline": "the linear baseline", "both": "the mean of net and baseline"}


def answer(findings: Findings) -> ReportSection:
    """One recommendation with its uncertainty and its price; then what limits it."""
    dataset, best = findings.main, findings.recommended
    content: list[Block]
    if dataset is None or best is None:
        why = f"All completed runs read {names.RANDOM_MARK} in place of ELMo" if dataset else "No run is completed yet"
        content = [Text(strong(f"{why}, so there is no answer yet."))]
    else:
        fold = f" (by the first of its {dataset.folds} folds)" if dataset.folds else ""
        content = [
            Text(_headline(best), "lead"),
            *(Text(strong(sentence)) for sentence in (*_better_elsewhere(best), *worse_than_the_lexicon(findings))),
            Command(f"To use it{fold}", names.predict_command(best.run, findings.study.results, best.predicts)),
            Facts(_facts(best, dataset)),
            _figure(best, dataset),
        ]
    if limits := warnings(findings):
        content.append(Bullets(limits))
    return ReportSection("The answer", content)


def _headline(best: Recommended) -> object:
    name, settings = names.model_name(best.configuration.config), names.other_settings(best.configuration)
    name += ", averaged with the linear baseline" if best.chosen == "both" else ""
    right = f"has {wording.percent(best.score.value)}\u00a0% of test tweets right"
    if best.predicts == "baseline":
        which = "The best net" if best.chosen == "baseline" else "What validation tweets chose"
        return joined([strong("Use the linear baseline."), f"It {right}. {which}, {name}, {_behind(best.gain)}."])
    said = f"{wording.capital(', '.join(settings))}. " if settings else ""
    if best.gain is None:
        return joined([strong(f"Use {name}."), f"{said}It {right}."])
    baseline = f"the linear baseline ({wording.percent(best.run.measured('test', 'baseline').accuracy)}\u00a0%)"
    points = wording.percent(best.gain.value)
    return joined([strong(f"Use {name}."), f"{said}It {right}, {points} points more than {baseline}."])


def _better_elsewhere(best: Recommended) -> list[str]:
    """A sentence for each predictor from elsewhere that validation tweets choose, and test tweets show to be better."""
    return [
        f"Better is {one.name}, which was added: it does better on validation tweets too, and on "
        f"{one.gap.n:,} test tweets it has {wording.percent(-one.gap.value)} points more right"
        f"{wording.remark(one.gap)}."
        for one in best.added
        if one.gap and one.is_better
    ]


def _behind(gain: Difference | None) -> str:
    if gain is None:
        return "was not compared with it"
    if not gain.is_shown:
        return "costs more, and no difference from it is shown"
    return f"has {wording.percent(abs(gain.value))} points {'fewer' if gain.value < 0 else 'more'}"


def _facts(best: Recommended, dataset: Dataset) -> list[tuple[str, object]]:
    seeds = len(best.configuration.runs)
    over = f"mean of {seeds} seeds" if seeds > 1 else "one seed"
    over = f"{best.run.measured('test').n:,} tweets" if best.predicts == "baseline" else over
    facts: list[tuple[str, object]] = [
        ("Predicts with", _USED[best.predicts]),
        ("Test accuracy", f"{wording.share(best.score)}, {over}"),
    ]
    if gap := best.gain:
        whose = wording.capital(_USED["network" if best.chosen == "baseline" else best.chosen])
        verdict = "" if gap.is_shown else ": no difference shown"
        facts.append((f"{whose} against the linear baseline", f"{wording.claim(gap)}{verdict}{wording.remark(gap)}"))
    if rivals := len(dataset.competing) - 1:
        missing = rivals - len(best.rivals)
        told = f"{len(best.equals):,} of {wording.plural(rivals, 'other net')}"
        facts.append(("No difference between nets shown to", told + (f"; {missing:,} not compared" if missing else "")))
    if best.equals:
        name = "itself" if best.cheapest is best.configuration else names.configuration_name(best.cheapest)
        facts.append(("Cheapest of these nets", f"{name}, {wording.duration(seconds_of(best.cheapest))} a run"))
    usage = usage_of(best.configuration.runs)
    hours = f"{usage.gpu_hours:.2g} GPU-hours" if usage.gpu_hours else f"{usage.cpu_hours:.2g} CPU-hours"
    return [*facts, ("It took", f"{wording.duration(seconds_of(best.configuration))} a run; {hours} in all")]


def _figure(best: Recommended, dataset: Dataset) -> Figure:
    shown = [best.configuration, *(rival.configuration for rival in best.equals[: _MOST_LINES - 1])]
    if best.cheapest not in shown:
        shown.append(best.cheapest)
    lines: list[Line] = [
        (_line_name(one, best), score_of(one, dataset), charts.BLUE if place == 0 else charts.SKY)
        for place, one in enumerate(shown)
    ]
    baseline = measured_accuracy(best.run.measured("test", "baseline"))
    lines.append((_STAR * (best.predicts == "baseline") + "Linear baseline", baseline, charts.ORANGE))
    if best.chosen == "both":
        mean = score_of(best.configuration, dataset, "both")
        name = _STAR * (best.predicts == "both") + "Mean of the best net and the linear baseline"
        lines.insert(0, (name, mean, charts.GREEN))
    lines.append(
        ("VADER\u2019s lexicon, not trained", measured_accuracy(best.run.measured("test", "lexicon")), charts.MUTED)
    )
    models = [one for one in dataset.added if not one.added.annotator]
    lines += [(f"{one.name} (added)", one.accuracy, charts.PURPLE) for one in models[:_MOST_LINES]]
    lines.sort(key=lambda line: not line[0].startswith(_STAR))
    left = len(best.equals) + 1 - len(shown)
    more = f"; nor of {left:,} more" if left else ""
    remark = f" {names.LEXICON_REMARK}" if dataset.from_lexicon_authors else ""
    people = [one.accuracy.value for one in dataset.added if one.added.annotator]
    ceiling = fmean(people) if people else None
    if ceiling is not None:
        remark += f" Solid upright: people agree with the labels of {wording.percent(ceiling)} %."
    caption = joined(
        [
            f"Test accuracy with 95 % intervals, n = {baseline.n:,} tweets of {dataset.name}. Light: no difference "
            f"from the best net is shown{more}.{remark}",
            names.METHODS,
        ]
    )
    alt = "Test accuracy of the recommended model, its equals and the baseline"
    axis = ValueAxis("accuracy (%)", reference=baseline.value, ceiling=ceiling)
    return interval_figure("answer", alt, caption, lines, axis)


def _line_name(one: Configuration, best: Recommended) -> str:
    mark = "cheapest: " if one is best.cheapest and best.equals else ""
    mark = _STAR if one is best.configuration and best.predicts == "network" else mark
    return wording.shortened(mark + names.configuration_name(one), _LONGEST_NAME)


def warnings(findings: Findings) -> list[str]:
    """What limits the answer, a sentence each."""
    runs, main = findings.study.runs, findings.main
    said: list[str] = []
    if states := Counter(run.state.state for run in runs if not run.completed):
        listed = wording.listing([f"{number:,} {names.state_name(state)}" for state, number in states.most_common()])
        have = "has" if states.total() == 1 else "have"
        said.append(f"{states.total():,} of {wording.plural(len(runs), 'run')} {have} no result: {listed}.")
    if main is None:
        return said
    many, single = len(main.competing), sum(len(one.runs) == 1 for one in main.competing)
    if single == many > 0:
        which = "There is one seed only" + (" of each configuration" if many > 1 else "")
        said.append(f"{which}. Another seed may do better or worse.")
    elif single:
        said.append(
            f"{single:,} of {many:,} configurations have one seed only, which may be luck, and are not recommended."
        )
    if alike := [one for one in main.configurations if one.only_label]:
        which, more = names.configuration_name(alike[0]), f", and {len(alike) - 1:,} more" if len(alike) > 1 else ""
        so = "" if alike[0] in main.competing else ", and so not recommended"
        said.append(f"Tells no tweets apart{so}: {which}{more}.")
    left = [one for one in main.configurations if one not in main.competing]
    if fewer := sum(not one.is_random and one.only_label is None for one in left):
        said.append(f"Trained on fewer labels, and so not recommended: {wording.plural(fewer, 'configuration')}.")
    if (sets := len(findings.datasets)) > 1:
        said.append(
            f"There are runs on {sets} sets of tweets, which can't be compared with each other; the answer is about "
            f"{main.name}."
        )
    return said
