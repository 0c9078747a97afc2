"""The first screen: which model to use, how certain that is, what it costs, and the command that uses it."""

from collections import Counter
from statistics import fmean

from markupsafe import Markup

from report.compare.added import AddedPredictor
from report.compare.advice import Recommended
from report.compare.cost import cost_per_run, usage_of
from report.compare.datasets import Configuration, Dataset
from report.compare.findings import Findings
from report.render import wording
from report.render.blocks import Block, Bullets, Command, ReportSection, Text, Tiles
from report.render.charts import Colour, Figure, Line, ValueAxis, interval_figure
from report.render.wording import joined, strong
from report.sections import names
from report.sections.models import cost_per_thousand, worse_than_the_lexicon
from report.statistics import Difference, Estimate, estimate_of
from sentiment.runs.records import ModelChoice

_TITLE = "Recommendation"
_MAX_ROWS = 5
_LONGEST_NAME = 90

Tile = tuple[str, object]


def answer(findings: Findings) -> ReportSection:
    """The recommendation with its uncertainty and training time, then the caveats."""
    best = findings.recommended
    if not findings.study.runs:  # only gold tables
        return ReportSection(_TITLE, [])
    if best is None:
        content: list[Block] = [Text(strong(_no_recommendation(findings.main)))]
    else:
        content = [
            Text(_headline(best), "lead"),
            *_about_macro_recall(best),
            *(Text(strong(sentence)) for sentence in worse_than_the_lexicon(findings)),
            _command(best),
            Tiles(_tiles(best)),
            _figure(best),
        ]
    if limitations := caveats(findings):
        content.append(Bullets(limitations))
    return ReportSection(_TITLE, content)


def _no_recommendation(dataset: Dataset | None) -> str:
    if dataset is None:
        return "No run is completed yet, so there is no recommendation yet."
    return "All completed runs used random vectors instead of ELMo weights, so there is no recommendation."


def _about_macro_recall(best: Recommended) -> list[Block]:
    if best.dataset.metric == "accuracy":
        return []
    classes = best.configuration.config.data.label_names
    sentence = (
        f"Compared by macro recall, the mean over the {len(classes)} classes ({wording.listing([*classes])}) of the "
        "share of their tweets that are right."
    )
    return [Text(sentence)]


def _command(best: Recommended) -> Command:
    purpose = "To use the best model trained here instead" if best.added_winner else "To use it"
    if best.dataset.folds:
        purpose += f" (the model of fold 1 of {best.dataset.folds})"
    return Command(purpose, names.predict_command(best.run))


def _headline(best: Recommended) -> Markup:
    winner = best.added_winner
    score = f"Test {best.metric_name}"
    if winner and winner.below_recommended:
        model = f"the best model trained here, {_short_name(best, best.predicts)}"
        gain = winner.below_recommended.reversed
        sentence = (
            f"{score} {wording.percent(winner.score(best.dataset.metric).value)}\u00a0%, {_above(gain.value, model)} "
            f"{_evidence(gain)}. It is ahead on the validation set as well."
        )
        return joined([strong(f"Use {winner.name} (added predictor)."), sentence])
    score += f" {wording.percent(best.score.value)}\u00a0%"
    if best.predicts == "baseline":
        return joined([strong("Use the linear baseline."), f"{score}. {_alternative_sentence(best)}"])
    settings = wording.capital(", ".join(names.settings_beside_architecture(best.configuration)))
    sentences = [f"{settings}."] if settings else []
    if best.gain is None:
        sentences.append(f"{score}.")
    else:
        comparison = _above(best.gain.value, "the linear baseline")
        baseline = f"{wording.percent(_baseline_score(best).value)}\u00a0%"
        sentences.append(f"{score}, {comparison} {_evidence(best.gain, baseline)}.")
    return joined([strong(f"Use {_short_name(best, best.predicts)}."), *sentences])


def _alternative_sentence(best: Recommended) -> str:
    """Why the most accurate alternative to the linear baseline is not recommended."""
    name = f"The best alternative on the validation set, {_short_name(best, best.alternative)},"
    if best.gain is None:
        return f"{name} could not be compared with it: its predictions are missing."
    if not best.gain.is_shown:
        difference = f"{wording.points(best.gain.value)} points"
        power = wording.power_remark([best.gain])
        return f"{name} is not significantly better {_evidence(best.gain, difference)} and costs more to train{power}."
    comparison = f"{name} is {_above(best.gain.value, 'it')} on test tweets {_evidence(best.gain)}"
    if best.gain.is_worse:
        return f"{comparison}."
    return f"{comparison}, which choose nothing: the validation tweets are too few to show it."


def _above(difference: float, other: str) -> str:
    points = f"{wording.percent(abs(difference))} percentage points"
    return f"{points} {'above' if difference >= 0 else 'below'} {other}"


def _evidence(difference: Difference, *parts_before: str) -> str:
    """`(95 % CI +2.6 to +25.7; adjusted p = 0.02)`, as far as these are known."""
    interval = wording.bounds(difference.low, difference.high, wording.points).strip(" ()")
    parts = [*parts_before]
    if interval:
        parts.append(f"95 % CI {interval}")
    if difference.q is not None:
        p_value = wording.p_value(difference.q)
        parts.append(f"adjusted p {p_value}" if p_value.startswith("<") else f"adjusted p = {p_value}")
    if difference.of_these_models:
        parts.append(wording.THESE_MODELS)
    return f"({'; '.join(parts)})" if parts else ""


def _short_name(best: Recommended, model: ModelChoice) -> str:
    """The name of a predictor of the best configuration without settings beside the architecture."""
    if model == "baseline":
        return "the linear baseline"
    name = names.model_name(best.configuration.config)
    return f"{name}, ensembled with the linear baseline" if model == "both" else name


def _baseline_score(best: Recommended) -> Estimate:
    return estimate_of(best.run.measured("test", "baseline"), best.dataset.metric)


def _tiles(best: Recommended) -> list[Tile]:
    if best.added_winner:
        return _added_tiles(best, best.added_winner)
    if best.predicts == "baseline":
        return _baseline_tiles(best)
    return _network_tiles(best)


def _network_tiles(best: Recommended) -> list[Tile]:
    seeds = len(best.configuration.runs)
    basis = f"mean of {seeds} seeds" if seeds > 1 else "one seed"
    tiles: list[Tile] = [(f"Test {best.metric_name}", f"{wording.share(best.score)}, {basis}")]
    if best.gain:
        tiles.append(("Gain over the linear baseline", _difference_with_verdict(best.gain)))
    title = "Configurations not significantly worse"
    if best.predicts == "both":
        title += " than its network"
        tiles.append(("Network without the baseline", wording.share(best.dataset.score(best.configuration))))
    if competitors := len(best.dataset.eligible) - 1:
        count = f"{len(best.not_worse):,} of {wording.plural(competitors, 'other configuration')}"
        if missing := competitors - len(best.rivals):
            count += f"; {missing:,} not compared"
        tiles.append((title, count))
    if best.not_worse:
        if best.cheapest is best.configuration:
            cheapest = "the recommended one"
        else:
            score = wording.percent(best.cheapest.mean("test", best.dataset.metric))
            time = wording.compute_time(*cost_per_run(best.cheapest))
            cheapest = f"{names.configuration_name(best.cheapest)}: {time} per run, {score} %"
        tiles.append(("Cheapest to train of these", cheapest))
    return [*tiles, ("Compute time of the recommended model", _compute_time(best.configuration))]


def _baseline_tiles(best: Recommended) -> list[Tile]:
    alternative = best.alternative
    score = best.dataset.score(best.configuration, alternative)
    tiles: list[Tile] = [
        ("Recommended", "TF-IDF and logistic regression"),
        (
            f"Test {best.metric_name} of the linear baseline",
            f"{wording.share(best.score)}, n = {best.score.n:,} tweets",
        ),
        (
            "Best alternative on the validation set",
            f"{names.predictor_name(best.configuration, alternative)}: {wording.percent(score.value)} %",
        ),
    ]
    if best.gain:
        tiles.append(("Alternative minus baseline", _difference_with_verdict(best.gain)))
    return [*tiles, ("Compute time of the alternative", _compute_time(best.configuration))]


def _added_tiles(best: Recommended, winner: AddedPredictor) -> list[Tile]:
    score = winner.score(best.dataset.metric)
    tests = f"{score.n:,} of {len(winner.test.tweets):,} test tweets"
    tiles: list[Tile] = [
        ("Recommended", f"{winner.name}: predictions from {winner.record.file}"),
        (f"Test {best.metric_name}", f"{wording.share(score)}, {tests}"),
    ]
    if winner.below_recommended:
        gain = winner.below_recommended.reversed
        tiles.append(("Gain over the best model trained here", _difference_with_verdict(gain)))
    if winner.above_baseline:
        tiles.append(("Gain over the linear baseline", _difference_with_verdict(winner.above_baseline)))
    cost = cost_per_thousand(winner.record)
    if cost:
        tiles.append(("Cost per 1,000 tweets", cost))
    trained = f"{names.predictor_name(best.configuration, best.predicts)}: {wording.percent(best.score.value)} %"
    time = wording.compute_time(*cost_per_run(best.configuration))
    return [*tiles, ("Best model trained here", f"{trained}, {time} per run")]


def _difference_with_verdict(difference: Difference) -> str:
    verdict = "significant" if difference.is_shown else f"not significant{wording.power_remark([difference])}"
    return f"{wording.claim(difference)}, {verdict}{wording.remark(difference)}"


def _compute_time(configuration: Configuration) -> str:
    """Compute time per run, and the encoder's share of all runs."""
    usage = usage_of(configuration.runs)
    runs = wording.plural(len(configuration.runs), "run")
    text = f"{wording.compute_time(*cost_per_run(configuration))} per run ({runs})"
    if any(usage.encoding):
        text += f"; encoder vectors, once: {wording.compute_time(*usage.encoding)}"
    return text


def _figure(best: Recommended) -> Figure:
    drawn = [best.configuration, *best.not_worse[: _MAX_ROWS - 1]]
    if best.cheapest not in drawn:
        drawn.append(best.cheapest)
    baseline = _baseline_score(best)
    winner = best.added_winner
    lines = _figure_lines(best, drawn, None if winner else best.predicts)
    people = [predictor.score(best.dataset.metric).value for predictor in best.added if predictor.record.annotator]
    ceiling = fmean(people) if people else None
    models = [predictor for predictor in best.added if not predictor.record.annotator]
    for predictor in models[:_MAX_ROWS]:
        name = _starred(predictor.predictor.name, predictor is winner)
        lines.append((name, predictor.score(best.dataset.metric), "purple"))
    lines.sort(key=lambda line: not line[0].startswith(names.STAR))
    caption = joined([_figure_caption(best, baseline, len(best.not_worse) + 1 - len(drawn), ceiling), names.METHODS])
    alt = f"Test {best.metric_name} of the recommended model, the models not significantly worse, and the baseline"
    axis = ValueAxis(f"{best.metric_name} (%)", reference=baseline.value, ceiling=ceiling)
    return interval_figure("answer", alt, caption, lines, axis)


def _figure_lines(best: Recommended, drawn: list[Configuration], starred: ModelChoice | None) -> list[Line]:
    """Rows for the networks, the linear baseline, their ensemble if it is the best on validation, and the lexicon."""
    lines: list[Line] = []
    if best.alternative == "both":
        name = "Ensemble: best network + linear baseline"
        lines.append((_starred(name, starred == "both"), best.dataset.score(best.configuration, "both"), "green"))
    for configuration in drawn:
        is_best = configuration is best.configuration
        label = _starred(names.configuration_name(configuration), is_best and starred == "network")
        if configuration is best.cheapest and best.not_worse and not is_best:
            label = f"cheapest to train: {label}"
        colour: Colour = "blue" if is_best else "sky"
        lines.append((wording.shortened(label, _LONGEST_NAME), best.dataset.score(configuration), colour))
    baseline = _starred("Linear baseline", starred == "baseline")
    lines.append((baseline, _baseline_score(best), "orange"))
    if "lexicon" in best.run.result.scores:
        lexicon = estimate_of(best.run.measured("test", "lexicon"), best.dataset.metric)
        lines.append((names.predictor_name(best.configuration, "lexicon"), lexicon, "muted"))
    return lines


def _starred(name: str, is_recommended: bool) -> str:
    return f"{names.STAR}{name}" if is_recommended else name


def _figure_caption(best: Recommended, baseline: Estimate, not_drawn: int, ceiling: float | None) -> str:
    more = f" ({not_drawn:,} more are not drawn)" if not_drawn else ""
    caption = (
        f"Test {best.metric_name} with 95 % confidence intervals, n = {baseline.n:,} tweets of {best.dataset.name}. "
        "\u2605 recommended. "
        "Dark blue: the best network, mean over its seeds. Light blue: networks not significantly worse than it"
        f"{more}. Dashed line: linear baseline."
    )
    if ceiling is not None:
        caption += (
            f" Solid vertical line: mean {best.metric_name} of the human annotators ({wording.percent(ceiling)} %)."
        )
    return caption


def caveats(findings: Findings) -> list[str]:
    """One sentence per limitation of the recommendation."""
    main, best = findings.main, findings.recommended
    sentences = _unfinished(findings)
    if main is None:
        return sentences
    if best:
        sentences += _about_added(best) + _about_the_lexicon(best)
    sentences += _about_seeds(main) + _about_ineligible(main)
    if (sets := len(findings.datasets)) > 1:
        sentences.append(
            f"The runs use {sets} different test sets, which cannot be compared; this recommendation is for "
            f"{main.name}."
        )
    return sentences


def _unfinished(findings: Findings) -> list[str]:
    runs = findings.study.runs
    states = Counter(run.state.state for run in names.unfinished(runs))
    if not states:
        return []
    counts = [f"{number:,} {names.state_name(state)}" for state, number in states.most_common()]
    return [f"{names.unfinished_sentence(runs)}: {wording.listing(counts)}."]


def _about_added(best: Recommended) -> list[str]:
    winner = best.added_winner
    if winner is None:
        return []
    return [
        "An added predictor cannot be rerun from this project: its predictions are those of "
        f"{winner.record.file} (SHA-256 {winner.record.file_sha256[:12]}). It may have seen the test tweets during "
        "its own training."
    ]


def _about_the_lexicon(best: Recommended) -> list[str]:
    """Why a lexicon that has a higher test score than the recommended model is not recommended."""
    scores = best.run.result.scores
    lexicon = getattr(scores["lexicon"]["test"], best.dataset.metric) if "lexicon" in scores else 0.0
    if lexicon <= best.score.value:
        return []
    sentence = (
        f"The VADER lexicon has a higher test {best.metric_name} ({wording.percent(lexicon)} %) than the recommended "
        "model, but it is a reference and not a candidate: nothing was fitted to these tweets."
    )
    return [names.with_lexicon_remark(sentence, best.dataset.from_lexicon_authors)]


def _about_seeds(dataset: Dataset) -> list[str]:
    eligible = len(dataset.eligible)
    single = sum(len(configuration.runs) == 1 for configuration in dataset.eligible)
    if not single:
        return []
    if single == eligible:
        configurations = "Each configuration" if eligible > 1 else "The configuration"
        return [f"{configurations} was trained with a single seed; results may change with another seed."]
    return [
        f"{single:,} of {eligible:,} configurations with a single seed: not eligible, because a high score may be luck."
    ]


def _about_ineligible(dataset: Dataset) -> list[str]:
    sentences = []
    constant = [configuration for configuration in dataset.configurations if configuration.only_label]
    if constant:
        name = names.configuration_name(constant[0])
        others = f" and {wording.plural(len(constant) - 1, 'other')}" if len(constant) > 1 else ""
        eligible = "" if constant[0] in dataset.eligible else " (not eligible)"
        sentences.append(f"Predicts the same class for every tweet{eligible}: {name}{others}.")
    ineligible = [configuration for configuration in dataset.configurations if configuration not in dataset.eligible]
    fewer = sum(not configuration.is_random and configuration.only_label is None for configuration in ineligible)
    if fewer:
        sentences.append(f"Trained on fewer labelled tweets (not eligible): {wording.plural(fewer, 'configuration')}.")
    return sentences
