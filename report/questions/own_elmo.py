"""What is an ELMo of one's own tweets worth: runs that read it against those that differ in nothing else."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from report.compare.answers import Answers, accuracy_of, compared, spread_between
from report.compare.findings import Findings
from report.compare.matching import seeds_together
from report.questions.question import Question
from report.read.load import CompletedRun, Grid
from report.render import blocks, wording
from report.render.blocks import Block, Bullets, Card, Figure, Table
from report.render.charts.lines import Axis, Point, Series, Style, line_figure
from report.statistics import Difference
from sentiment.config import RunConfig
from sentiment.runs.pretrained import OwnModel, read_own_models

_Both = tuple[list[CompletedRun], list[CompletedRun]]
"""The seeds of one configuration with the model, and those without it."""
_DIRECTIONS: tuple[tuple[str, Style], ...] = (("forward", "line"), ("backward", "dashed"))


@dataclass(frozen=True)
class OwnElmoGain:
    """With the model less without it, for one number of labels."""

    grid: str
    labels: int | None
    """`data.train_rows`; None where a run trains on all."""
    vectors: str | None
    """What the embedding of both starts from: `embedding.pretrained`."""
    runs: int
    """With it."""
    accuracy: float
    """With it, the mean over seeds."""
    without: float
    gap: Difference
    """Test accuracy with it less that without, for other seeds and other tweets; corrected for all gains."""

    @property
    def sentence(self) -> str:
        """In words, with its uncertainty."""
        labels = "all labels" if self.labels is None else f"at most {wording.plural(self.labels, 'label')}"
        beside = f" beside {self.vectors} vectors" if self.vectors else ""
        verdict = "" if self.gap.is_shown else ": not shown to differ from zero"
        return f"Grid {self.grid}, {labels}: the own model{beside} brings {wording.claim(self.gap)}{verdict}."


def own_elmo(findings: Findings) -> Question:
    """What models are worth in each grid that has runs with and without one, and how they learned."""
    models, problems = read_own_models(findings.study.results)
    gains = own_elmo_gains(findings.study.grids, findings.answers)
    content: list[Block] = [Bullets([gain.sentence for gain in gains])] if gains else []
    if drawn := [model for model in models if model.points]:
        content.append(_figure(drawn))
    tables = [*([_gains(gains)] if gains else []), *([_models(models)] if models else [])]
    cards = [Card("What is an ELMo of one\u2019s own tweets worth?", content)] if content else []
    return Question(cards, tables, problems=problems)


def own_elmo_gains(grids: Sequence[Grid], answers: Answers) -> list[OwnElmoGain]:
    """A comparison for each grid and number of labels, the fewest first."""
    found = [(grid.name, pairs) for grid in grids for pairs in _comparisons(grid.completed)]
    gaps = compared(
        answers.pair(
            [own for own, _ in pairs],
            [plain for _, plain in pairs],
            spread_between(runs for both in pairs for runs in both),
        )
        for _, pairs in found
    )
    return [_gain(grid, pairs, gap) for (grid, pairs), gap in zip(found, gaps, strict=True) if gap]


def _gain(grid: str, pairs: list[_Both], gap: Difference) -> OwnElmoGain:
    config = pairs[0][0][0].config
    return OwnElmoGain(
        grid=grid,
        labels=config.data.train_rows,
        vectors=config.embedding.pretrained,
        runs=sum(len(own) for own, _ in pairs),
        accuracy=fmean(accuracy_of(run) for own, _ in pairs for run in own),
        without=fmean(accuracy_of(run) for _, plain in pairs for run in plain),
        gap=gap,
    )


def _comparisons(runs: Sequence[CompletedRun]) -> list[list[_Both]]:
    """The seeds of each configuration with an own model and those without it, by number of labels and vectors."""
    # Not by their canonical forms: folds that are pooled have none.
    plain = {_without(seeds[0].config): seeds for seeds in seeds_together(runs) if seeds[0].config.elmo is None}
    own: dict[str, list[CompletedRun]] = defaultdict(list)
    for run in runs:
        if run.config.elmo and run.config.elmo.pretrained and _without(run.config) in plain:
            own[_without(run.config)].append(run)
    found: dict[tuple[int, str], list[_Both]] = defaultdict(list)
    for key, with_it in own.items():
        config = with_it[0].config
        found[config.data.train_rows or 2**62, config.embedding.pretrained or ""].append((with_it, plain[key]))
    return [found[key] for key in sorted(found)]


def _without(config: RunConfig) -> str:
    """The fingerprint of the same question without ELMo, whatever the seed."""
    return config.model_copy(update={"seed": 0, "elmo": None, "pretraining": None}).fingerprint()


def _figure(models: list[OwnModel]) -> Figure:
    lines = []
    for model in models:
        name = wording.shortened(model.name, 30)
        for direction, style in _DIRECTIONS:
            measured = [(point.tokens, getattr(point, direction)) for point in model.points]
            said = f"{name}, {direction}"
            points = [Point(tokens / 1e6, one, f"{said}, {tokens:,} tokens: {one:.4g}") for tokens, one in measured]
            lines.append(Series(said, points, style, name))
    caption = (
        "Perplexity of held-out training tweets after each epoch, by the tokens read until then, repeated ones as "
        "often as they were read. Dashed: backward."
    )
    axes = Axis("tokens read (millions)"), Axis("perplexity", is_log=True)
    return line_figure("own-models-perplexity", "Perplexity by tokens read", caption, lines, axes)


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


def _gains(gains: list[OwnElmoGain]) -> Table:
    rows = [
        {name: getattr(gain, name) for name in ("grid", "labels", "runs", "accuracy", "without")}
        | {"vectors": gain.vectors or "none", "tweets": gain.gap.n, "q": gain.gap.q}
        | blocks.with_bounds("gap", gain.gap)
        for gain in gains
    ]
    caption = (
        "Runs with the own model against those that differ in nothing else but their seeds, on the same test tweets, "
        "corrected for all rows."
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
