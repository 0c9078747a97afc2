"""The first screen: which predictor to use, how certain that is, what it costs, and all predictors in one ranking."""

from collections import Counter
from collections.abc import Sequence

from markupsafe import Markup

from report.compare.findings import Findings
from report.render.blocks import Block, Bullets, ReportTable, Text, Tiles
from report.render.wording import strong
from report.sections import names
from report.sections.models import worse_than_the_lexicon
from report.sections.sentences import sentence, sentences, terms


def answer(findings: Findings, ranking: Sequence[ReportTable], further: Sequence[Markup] = ()) -> list[Block]:
    """The recommendation with its uncertainty and training time, further answers, caveats, and the ranking."""
    best = findings.recommended
    if not findings.study.runs:  # only tables with answers
        return []
    content: list[Block] = [Text(strong(sentence("answer.no_recommendation")))]
    if best:
        content = [Text(sentence("answer.headline", best=best), "lead"), Tiles(terms("answer.facts", best=best))]
        content += [Text(strong(text)) for text in worse_than_the_lexicon(findings)]
    content += map(Text, further)
    if limitations := caveats(findings):
        content.append(Bullets(limitations))
    return [*content, *ranking]


def caveats(findings: Findings) -> list[Markup]:
    """One sentence per limitation of the recommendation."""
    states = Counter(run.state.state for run in names.unfinished(findings.study.runs))
    counts = [f"{number:,} {names.state_name(state)}" for state, number in states.most_common()]
    return sentences("answer.caveats", findings=findings, unfinished=counts)
