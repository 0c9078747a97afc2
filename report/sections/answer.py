"""The first screen: which predictor to use, how certain that is, what it was trained on, and all in one ranking."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from report.compare.findings import Findings
from report.compare.ranking import Candidate, Recommended
from report.render.blocks import Block, Bullets, ReportTable, Text
from report.render.wording import capital, joined, strong
from report.sections import names
from report.sections.models import worse_than_the_lexicon
from report.sections.sentences import sentence, sentences
from sentiment.console import plural
from sentiment.statistics import words
from sentiment.statistics.estimate import Estimate


def answer(findings: Findings, ranking: Sequence[ReportTable], further: Sequence[Markup] = ()) -> list[Block]:
    """The recommendation with its uncertainty and training size, further answers, caveats, and the ranking."""
    best = findings.recommended
    if not findings.study.runs:  # only tables with answers
        return []
    content: list[Block] = [Text(strong(sentence("answer.no_recommendation")))]
    if best:
        content = [Text(headline(best), "lead")]
        content += [] if best.added_winner else [Text(f"Trained on {best.trained_on}.")]
        content += [Text(strong(text)) for text in worse_than_the_lexicon(findings)]
    content += map(Text, further)
    if limitations := caveats(findings):
        content.append(Bullets(limitations))
    return [*content, *ranking]


def headline(best: Recommended) -> Markup:
    """Which predictor to use, its score, and how far it is above the linear baseline or the best model trained here."""
    winner = best.added_winner
    estimate = best.test_score(winner or best.model)
    score = f"Test {best.dataset.metric_name} {words.share(estimate)} on {plural(int(estimate.n), 'tweet')}"
    if winner:
        gap = ""
        if winner in best.differences:
            gain = best.differences[winner]
            other = f"the best model trained here, {_short_name(best.model)}"
            gap = f", {_above(gain, other)}{words.evidence(gain)}"
        use = strong(f"Use {winner.name} (added predictor).")
        return joined([use, f"{score}{gap}. It is shown to be better on validation tweets, which select it."])
    settings = ", ".join(names.settings_in_words(best.model.settings))
    statements: list[Any] = [strong(f"Use {_short_name(best.model)}.")]
    if settings:
        statements.append(f"{capital(settings)}.")
    if best.model.kind == "baseline":
        return joined([*statements, f"{score}.", _alternative(best)])
    gap = ""
    if best.gain:
        of_baseline = f"{words.percent(best.test_score(best.baseline).value)}\u00a0%"
        gap = f", {_above(best.gain, f'the {names.predictor_name(best.baseline)}')}"
        gap += words.evidence(best.gain, of_baseline)
    return joined([*statements, f"{score}{gap}."])


def _alternative(best: Recommended) -> str:
    """Why the best alternative to the linear baseline is not recommended."""
    gain = best.gain
    verdict = "could not be compared with it: its predictions are missing."
    if gain and not gain.is_significant:
        evidence = words.evidence(gain, f"{words.points(gain.value)} points")
        verdict = f"costs more to train and is not significantly better{evidence}."
    elif gain:
        ending = "" if gain.is_worse else " Models are selected on validation tweets, which do not show this."
        verdict = f"is {_above(gain, 'it')} on test tweets{words.evidence(gain)}.{ending}"
    return f"The best alternative on the validation set, {names.predictor_name(best.alternative)}, {verdict}"


def _above(difference: Estimate, other: str) -> str:
    side = "above" if difference.value >= 0 else "below"
    return f"{words.percent(abs(difference.value))} percentage points {side} {other}"


def _short_name(candidate: Candidate) -> str:
    """The name of a model without settings beside the architecture."""
    name = names.model_name(candidate.configuration.config)
    short = {"baseline": "the linear baseline", "both": f"the mean of both ({name} and the linear baseline)"}
    return short.get(candidate.kind, name)


def caveats(findings: Findings) -> list[Markup]:
    """One sentence per limitation of the recommendation."""
    states = Counter(run.state.state for run in names.unfinished(findings.study.runs))
    counts = [f"{number:,} {names.state_name(state)}" for state, number in states.most_common()]
    return sentences("answer.caveats", findings=findings, unfinished=counts)
