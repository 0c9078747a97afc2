"""Which runs overfit? Does self-attention learn faster and overfit more? What does it look at?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from markupsafe import Markup

from report.compare.findings import Findings
from report.compare.matching import is_search, matched_runs
from report.compare.measures import OverfittingGaps, best_epochs, value_design, value_difference
from report.evaluated import Reader
from report.read import AttentionSample, Grid, read_attention
from report.render import wording
from report.render.blocks import Card, Question, Text
from report.render.charts import AttentionRow, Figure, attention_figure
from report.render.wording import emphasis, joined
from report.sections.names import configuration_name
from report.sections.sentences import sentence
from report.statistics import Difference, corrected

POOLING = "model.pooling"
_EXAMPLES = 3


@dataclass(frozen=True)
class AttentionContrast:
    """Self-attention minus another pooling, over runs that differ in nothing else but their seeds.

    Both differences are corrected for both measures and all poolings of the grid. The overfitting gap is training
    accuracy minus validation accuracy at the best epoch.
    """

    other_pooling: str
    best_epoch: Difference
    overfitting_gap: Difference

    @property
    def sentence(self) -> Markup:
        of_epoch = _uncertainty(self.best_epoch, wording.signed)
        of_gap = _uncertainty(self.overfitting_gap, wording.points)
        return sentence("attention.contrast", contrast=self, of_epoch=of_epoch, of_gap=of_gap)


def _uncertainty(difference: Difference, write: Callable[[float], str]) -> str:
    """` (95 % CI -2.1 to -0.5)`; if it is not significant, that too."""
    verdict = "" if difference.is_significant else "not significant"
    return wording.bracketed(wording.interval(difference, write), verdict)


def overfitting(findings: Findings) -> Question:
    """One card that says for each grid how many of its runs overfit."""
    counts = []
    rules: set[str] = set()
    for grid in findings.study.grids:
        if grid.completed:
            overfitted = sum(run.overfits for run in grid.completed)
            counts.append(f"{grid.name} {overfitted:,} of {len(grid.completed):,}")
            rules |= {fold.result.overfit.rule for run in grid.completed for fold in run.fold_runs}
    if not counts:
        return Question([])
    content = [Text(sentence("attention.overfitting", rules=sorted(rules), counts=counts))]
    return Question([Card("Which runs overfit?", content)])


def attention(findings: Findings) -> Question:
    """A card for each grid that varies the pooling, then attention weights on example tweets."""
    cards = []
    for grid in findings.study.grids:
        contrasts = [] if is_search(grid) else attention_contrasts(grid, findings.study.reader)
        if contrasts:
            cards.append(_contrast_card(grid, contrasts))
    methods = ["attention"] if cards else []
    examples = _attention_examples(findings)
    if examples:
        cards.append(Card("What does self-attention look at?", [examples]))
    return Question(cards, methods=methods)


def _contrast_card(grid: Grid, contrasts: Sequence[AttentionContrast]) -> Card:
    sentences = [Text(joined([emphasis(f"{grid.name}:"), contrast.sentence])) for contrast in contrasts]
    differences = [contrast.best_epoch for contrast in contrasts]
    differences += [contrast.overfitting_gap for contrast in contrasts]
    sentences += map(Text, wording.conditional_remarks(differences))
    return Card("Does self-attention learn faster, and overfit more?", sentences)


def attention_contrasts(grid: Grid, reader: Reader) -> list[AttentionContrast]:
    """Compare self-attention with every other pooling of a grid."""
    if "attention" not in {run.config.model.pooling for run in grid.completed}:
        return []
    gaps = OverfittingGaps(grid.completed, reader)
    poolings = []
    differences = []
    for other in sorted({run.config.model.pooling for run in gaps.runs} - {"attention"}):
        groups = matched_runs(gaps.runs, POOLING, "attention", other)
        matched = [(firsts, seconds) for firsts, seconds in groups if gaps.are_comparable([*firsts, *seconds])]
        if matched:
            poolings.append(other)
            firsts, seconds = zip(*matched, strict=True)
            for values in (best_epochs(gaps.runs), gaps.by_run):
                design = value_design(gaps.runs, values, len(matched))
                differences.append(value_difference(design, firsts, seconds, values))
    differences = corrected(differences)
    measures = zip(poolings, differences[::2], differences[1::2], strict=True)
    return [AttentionContrast(other, epoch, gap) for other, epoch, gap in measures]


def _attention_examples(findings: Findings) -> Figure | None:
    configurations = findings.main.configurations if findings.main else []
    with_attention = [
        configuration for configuration in configurations if configuration.config.model.pooling == "attention"
    ]
    if not with_attention:
        return None
    best = with_attention[0]
    run = best.best_seed.fold_runs[0]
    read = findings.study.reader.read(partial(read_attention, run))
    if not read:
        return None
    samples = sorted(read, key=lambda sample: -sample.probability)
    correct = [sample for sample in samples if sample.is_right]
    wrong = [sample for sample in samples if not sample.is_right]
    names = best.config.data.label_names
    tweets = [_attention_row(sample, names) for sample in (*correct[:_EXAMPLES], *wrong[:_EXAMPLES])]
    caption = sentence("attention.examples", name=configuration_name(best), run=run, number=len(samples))
    return attention_figure("attention", "Attention on test tweets", caption, tweets)


def _attention_row(sample: AttentionSample, names: Sequence[str]) -> AttentionRow:
    verdict = "right" if sample.is_right else "wrong"
    predicted = f"predicted {names[sample.predicted]} ({wording.percent(sample.probability)} %)"
    title = f"{verdict}: label {names[sample.label]}, {predicted}"
    return AttentionRow(title, sample.tokens, list(np.mean(sample.weights, axis=0)))
