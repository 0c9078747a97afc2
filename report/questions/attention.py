"""What does self-attention look at?"""

from functools import partial

import numpy as np
from markupsafe import Markup

from report.compare.findings import Findings
from report.read import AttentionSample, read_attention
from report.render.blocks import Block, Card, Question
from report.sections.names import configuration_name
from sentiment.blocks.content import Bullets, Text
from sentiment.blocks.wording import joined, shortened, strong
from sentiment.statistics import words

_EXAMPLES = 3
_MAX_TOKENS = 40
_MAX_TOKEN_LENGTH = 24
# Tokens with at least so many times the uniform weight are bold.
MUCH = 1.5


def attention(findings: Findings) -> Question:
    """Example tweets, with the tokens that have most of the attention."""
    examples = _attention_examples(findings)
    return Question([Card("What does self-attention look at?", examples)] if examples else [])


def _attention_examples(findings: Findings) -> list[Block]:
    main = findings.main
    with_attention = [each for each in main.configurations if each.config.model.pooling == "attention"] if main else []
    if main is None or not with_attention:
        return []
    best = with_attention[0]
    run = max(best.runs, key=lambda run: run.score("validation", main.metric)).trained[0]
    samples = findings.study.reader.read(partial(read_attention, run))
    if not samples:
        return []
    samples = sorted(samples, key=lambda sample: -sample.probability)
    right = [sample for sample in samples if sample.is_right]
    wrong = [sample for sample in samples if not sample.is_right]
    names = best.config.data.label_names
    tweets = [attended(sample, names) for sample in (*right[:_EXAMPLES], *wrong[:_EXAMPLES])]
    caption = (
        f"The most confident right and wrong predictions of {configuration_name(best)} (run {run.run_id}) among "
        f"n = {len(samples)} random test tweets. Bold: tokens with at least {MUCH} times the uniform attention weight, "
        "averaged over hops; weights do not explain a prediction."
    )
    return [Text(caption), Bullets(tweets)]


def attended(sample: AttentionSample, names: tuple[str, ...]) -> Markup:
    """A tweet after its classes, with the tokens of much attention in bold and what multiple of uniform they have."""
    verdict = "right" if sample.is_right else "wrong"
    predicted = f"predicted {names[sample.predicted]} ({words.percent(sample.probability)} %)"
    parts: list[Markup | str] = [f"{verdict}: label {names[sample.label]}, {predicted}:"]
    multiples = np.mean(sample.weights, axis=0) * len(sample.tokens)
    for token, multiple in zip(sample.tokens[:_MAX_TOKENS], multiples, strict=False):
        text = shortened(token, _MAX_TOKEN_LENGTH)
        parts.append(strong(f"{text} ({multiple:.1f})") if multiple >= MUCH else text)
    return joined(parts)
