"""The first screen: which model to use, how certain that is, what it costs, and the command that uses it."""

from collections import Counter
from statistics import fmean

from markupsafe import Markup

from report.compare.advice import Recommended
from report.compare.datasets import Configuration
from report.compare.findings import Findings
from report.render import wording
from report.render.blocks import Block, Bullets, Command, Text, Tiles
from report.render.charts import Colour, Figure, IntervalRow, ValueAxis, interval_figure
from report.render.wording import strong
from report.sections import names
from report.sections.models import worse_than_the_lexicon
from report.sections.sentences import sentence, sentences, terms
from sentiment.runs.records import ModelKind

_MAX_ROWS = 5
_MAX_NAME_LENGTH = 90


def answer(findings: Findings) -> list[Block]:
    """The recommendation with its uncertainty and training time, then the caveats."""
    best = findings.recommended
    if not findings.study.runs:  # only gold tables
        return []
    if best is None:
        content: list[Block] = [Text(strong(sentence("answer.no_recommendation", has_runs=bool(findings.main))))]
    else:
        content = [Text(sentence("answer.headline", best=best), "lead")]
        if best.dataset.metric == "macro_recall":
            classes = [*best.configuration.config.data.label_names]
            content.append(Text(sentence("answer.about_macro_recall", classes=classes)))
        content += [Text(strong(text)) for text in worse_than_the_lexicon(findings)]
        purpose = sentence("answer.command", best=best)
        content += [
            Command(purpose, names.predict_command(best.run)),
            Tiles(terms("answer.tiles", best=best)),
            _figure(best),
        ]
    if limitations := caveats(findings):
        content.append(Bullets(limitations))
    return content


def caveats(findings: Findings) -> list[Markup]:
    """One sentence per limitation of the recommendation."""
    states = Counter(run.state.state for run in names.unfinished(findings.study.runs))
    counts = [f"{number:,} {names.state_name(state)}" for state, number in states.most_common()]
    return sentences("answer.caveats", findings=findings, unfinished=counts)


def _figure(best: Recommended) -> Figure:
    drawn = [best.configuration, *best.not_worse[: _MAX_ROWS - 1]]
    drawn += [cheapest for cheapest in best.cheapest.values() if cheapest not in drawn]
    winner = best.added_winner
    lines = _figure_lines(best, drawn, None if winner else best.recommended_model)
    added = [predictor for predictor in best.added if predictor.predictor.has_enough_answers]
    annotators = [predictor for predictor in added if predictor.record.annotator]
    annotator_scores = [predictor.score(best.dataset.metric).value for predictor in annotators]
    ceiling = fmean(annotator_scores) if annotator_scores else None
    models = [predictor for predictor in added if not predictor.record.annotator]
    for predictor in models[:_MAX_ROWS]:
        score = predictor.score(best.dataset.metric)
        name = _starred(f"{predictor.predictor.name}, n = {score.n:,}", predictor is winner)
        lines.append((name, score, "purple"))
    lines.sort(key=lambda line: not line[0].startswith(names.STAR))
    not_drawn = len(best.not_worse) + 1 - len(drawn)
    few = [predictor.name for predictor in best.added if predictor not in added]
    caption = sentence("answer.caption", best=best, not_drawn=not_drawn, ceiling=ceiling, few=few)
    alt = f"Test {best.metric_name} of the recommended model, the models not significantly worse, and the baseline"
    axis = ValueAxis(f"{best.metric_name} (%)", reference=best.baseline_score.value, ceiling=ceiling)
    return interval_figure("answer", alt, caption, lines, axis)


def _figure_lines(best: Recommended, drawn: list[Configuration], starred: ModelKind | None) -> list[IntervalRow]:
    """Rows for the networks, the linear baseline, their ensemble if it is the best on validation, and the lexicon."""
    lines: list[IntervalRow] = []
    if best.alternative == "both":
        name = "Ensemble: best network + linear baseline"
        lines.append((_starred(name, starred == "both"), best.dataset.score(best.configuration, "both"), "green"))
    for configuration in drawn:
        is_best = configuration is best.configuration
        label = _starred(names.configuration_name(configuration), is_best and starred == "network")
        if configuration in best.cheapest.values() and not is_best:
            label = f"cheapest to train: {label}"
        colour: Colour = "blue" if is_best else "sky"
        lines.append((wording.shortened(label, _MAX_NAME_LENGTH), best.dataset.score(configuration), colour))
    baseline = _starred("Linear baseline", starred == "baseline")
    lines.append((baseline, best.baseline_score, "orange"))
    if "lexicon" in best.run.kinds:
        lexicon = best.dataset.score(best.configuration, "lexicon")
        lines.append((names.predictor_name(best.configuration, "lexicon"), lexicon, "muted"))
    return lines


def _starred(name: str, is_recommended: bool) -> str:
    return f"{names.STAR}{name}" if is_recommended else name
