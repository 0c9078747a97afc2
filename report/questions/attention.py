"""What does self-attention look at?"""

from collections.abc import Sequence
from functools import partial

import numpy as np

from report.compare.findings import Findings
from report.read import AttentionSample, read_attention
from report.render.blocks import Card, Question
from report.render.charts import AttentionRow, Figure, attention_figure
from report.sections.names import configuration_name
from report.sections.sentences import sentence
from sentiment.statistics import words

_EXAMPLES = 3


def attention(findings: Findings) -> Question:
    """Attention weights on example tweets."""
    examples = _attention_examples(findings)
    return Question([Card("What does self-attention look at?", [examples])] if examples else [])


def _attention_examples(findings: Findings) -> Figure | None:
    main = findings.main
    if main is None:
        return None
    with_attention = [each for each in main.configurations if each.config.model.pooling == "attention"]
    if not with_attention:
        return None
    best = with_attention[0]
    run = max(best.runs, key=lambda run: run.score("validation", main.metric)).fold_runs[0]
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
    predicted = f"predicted {names[sample.predicted]} ({words.percent(sample.probability)} %)"
    title = f"{verdict}: label {names[sample.label]}, {predicted}"
    return AttentionRow(title, sample.tokens, list(np.mean(sample.weights, axis=0)))
