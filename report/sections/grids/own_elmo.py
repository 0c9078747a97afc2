"""ELMo models that were trained on one's own text: how good they are as language models, and where they pay."""

from typing import Any

from report.analysis.findings import Findings
from report.analysis.questions.own_elmo import OwnElmoGain
from report.render import blocks, wording
from report.render.blocks import Block, Bullets, Figure, Heading, ReportSection, Table
from report.render.charts.perplexity import PerplexityLine, perplexity_figure
from sentiment.pretrained_runs import OwnModel


def own_elmo(findings: Findings) -> ReportSection:
    """Perplexities of all models, then what they are worth in each grid that has runs with and without one."""
    content: list[Block] = []
    if findings.own_models:
        content += [_models(findings.own_models)]
        if drawn := [model for model in findings.own_models if model.points]:
            content.append(_figure(drawn))
    if findings.own_gains:
        gains = findings.own_gains
        content += [Heading("Where it pays"), Bullets([_sentence(gain) for gain in gains]), _gains(gains)]
    return ReportSection("ELMo of one's own tweets", content)


def _models(models: list[OwnModel]) -> Table:
    caption = (
        "Language models and the perplexity of training tweets that they were not trained on, for each word and the "
        "mark at the end. Perplexities compare only where the vocabulary is the same. Lives: how often a task began "
        "or went on with the training."
    )
    columns = [
        blocks.text("Model", "model"),
        blocks.text("State", "state"),
        blocks.count("Lives", "attempts"),
        blocks.count("Weights", "parameters"),
        blocks.count("Tokens read", "tokens"),
        blocks.number("Forward", "forward", 1),
        blocks.number("Backward", "backward", 1),
        blocks.count("Vocabulary", "words"),
        blocks.percent("Unknown, %", "unknown"),
        blocks.duration("Trained", "seconds"),
    ]
    return Table("own-models", caption, columns, [_row(model) for model in models])


def _row(model: OwnModel) -> dict[str, Any]:
    row: dict[str, Any] = {"model": model.name, "state": model.state.state, "attempts": model.attempts}
    if model.points:
        best = min(model.points, key=lambda point: point.forward * point.backward)
        row |= {"tokens": best.tokens, "forward": best.forward, "backward": best.backward}
    if card := model.card:
        row |= {"parameters": card.parameters, "words": card.words, "unknown": card.unknown}
        row |= {"seconds": card.seconds_trained, "source": card.source, "init": card.init}
    return row


def _figure(models: list[OwnModel]) -> Figure:
    caption = (
        "Perplexity of held-out training tweets after each epoch, by the tokens read until then, repeated ones as "
        "often as they were read."
    )
    lines = [
        PerplexityLine(
            wording.shortened(model.name, 30),
            [point.tokens for point in model.points],
            [point.forward for point in model.points],
            [point.backward for point in model.points],
        )
        for model in models
    ]
    return perplexity_figure("own-models-perplexity", "Perplexity by tokens read", caption, lines)


def _sentence(gain: OwnElmoGain) -> str:
    labels = "all labels" if gain.labels is None else f"at most {wording.plural(gain.labels, 'label')}"
    beside = f" beside {gain.vectors} vectors" if gain.vectors else ""
    verdict = "" if gain.gap.is_shown else ": not shown to differ from zero"
    return f"Grid {gain.grid}, {labels}: the own model{beside} brings {wording.claim(gain.gap)}{verdict}."


def _gains(gains: list[OwnElmoGain]) -> Table:
    rows = []
    for gain in gains:
        row: dict[str, Any] = {
            "grid": gain.grid,
            "labels": gain.labels,
            "vectors": gain.vectors or "none",
            "runs": gain.runs,
        }
        row |= {"accuracy": gain.accuracy, "without": gain.without, "tweets": gain.gap.n, "q": gain.gap.q}
        rows.append(row | blocks.with_bounds("gap", gain.gap))
    caption = (
        "Runs with the own model against those that differ in nothing else but their seeds, on the same test tweets; "
        "interval and p for other seeds and other tweets, corrected for all rows."
    )
    columns = [
        blocks.text("Grid", "grid"),
        blocks.count("Labels at most", "labels"),
        blocks.text("Vectors of both", "vectors"),
        blocks.count("Runs with it", "runs"),
        blocks.percent("With, %", "accuracy"),
        blocks.percent("Without, %", "without"),
        blocks.difference("Difference, points", "gap"),
        blocks.count("Tweets", "tweets"),
        blocks.p_value("Adjusted p", "q"),
    ]
    return Table("own-elmo-gains", caption, columns, rows)
