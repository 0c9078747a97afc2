"""Which runs overfit; does self-attention learn faster and overfit more; and what does it look at."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from report import statistics
from report.compare.findings import Findings
from report.compare.matching import Runs, is_search, matched_runs, seeds_together
from report.read import CompletedRun, Grid, read_attention, read_each, read_scores
from report.render import wording
from report.render.blocks import Block, Card, Question, Text
from report.render.charts import Attended, attention_figure
from report.render.wording import emphasis, joined
from report.sections.names import configuration_name
from report.statistics import Difference, Pair, Side, Values
from sentiment.runs.records import THRESHOLD

POOLING = "model.pooling"
_EXAMPLES = 3
_METHOD = (
    "Self-attention",
    "Best epoch and overfitting gap are compared as accuracies are, corrected together; the gap is training accuracy "
    "less whether each validation tweet is right, the best epoch varies between seeds only.",
)


@dataclass(frozen=True)
class Speed:
    """Self-attention less another pooling, over runs that differ in nothing else; corrected for both measures of all
    poolings. The gap is training accuracy less validation accuracy at the best epoch."""

    other: str
    best_epoch: Difference
    gap: Difference

    @property
    def sentence(self) -> str:
        gap = f"{wording.points(self.gap.value)} points{_remarks(self.gap, wording.points)}"
        epoch = f"{wording.signed(self.best_epoch.value)}{_remarks(self.best_epoch, wording.signed)}"
        return f"Against {wording.parameter_value(POOLING, self.other)}: best epoch {epoch}, overfitting gap {gap}."


def _remarks(gap: Difference, write: Callable[[float], str]) -> str:
    """` (-2.1 to -0.5)`, and whether a difference is shown."""
    bounds = wording.bounds(gap.low, gap.high, write)
    if gap.is_shown:
        return bounds
    return f"{bounds[:-1]}; no difference shown)" if bounds else " (no difference shown)"


def overfitting(findings: Findings) -> Question:
    """One card about all grids; readers can open the curves of any run."""
    verdicts = {grid.name: [run.result.overfit for run in grid.completed] for grid in findings.study.grids}
    counts = [f"{name} {sum(one.overfits for one in of):,} of {len(of):,}" for name, of in verdicts.items() if of]
    rules = sorted({one.rule for of in verdicts.values() for one in of})
    said = f"{wording.capital('; or '.join(rules))}: {wording.listing(counts)}." if counts else ""
    return Question([Card("Which overfit?", [Text(said)])] if counts else [])


def attention(findings: Findings) -> Question:
    """A card for each grid that varies the pooling, then the tweets that the best attention model was shown."""
    cards, problems = [], []
    for grid in findings.study.grids:
        speeds, unread = ([], []) if is_search(grid) else speeds_of(grid)
        problems += unread
        if speeds:
            sentences = [Text(joined([emphasis(f"{grid.name}:"), one.sentence])) for one in speeds]
            sentences += map(Text, wording.of_these_models(gap for one in speeds for gap in (one.best_epoch, one.gap)))
            cards.append(Card("Does self-attention learn faster, and overfit more?", sentences))
    methods = [_METHOD] if cards else []
    looks, unread = _looks(findings)
    cards += [Card("What does self-attention look at?", looks)] if looks else []
    return Question(cards, methods=methods, problems=[*problems, *unread])


def speeds_of(grid: Grid) -> tuple[list[Speed], list[str]]:
    """A comparison with each other pooling, and the predictions that can't be read."""
    if "attention" not in {run.config.model.pooling for run in grid.completed}:
        return [], []
    gaps, problems = read_each(grid.completed, _overfitting)
    runs = [run for run in grid.completed if run.run_id in gaps]
    epochs = {run.run_id: np.array([float(run.result.best_epoch)]) for run in runs}
    found, pairs = [], []
    for other in sorted({run.config.model.pooling for run in runs} - {"attention"}):
        both = matched_runs(runs, POOLING, "attention", other)
        both = [one for one in both if len({len(gaps[run.run_id]) for side in one for run in side}) == 1]
        if both:
            found.append(other)
            pairs += [_pair(both, runs, measured) for measured in (epochs, gaps)]
    claims = statistics.compare(pairs, limit=None)
    each = zip(found, claims[::2], claims[1::2], strict=True)
    return [Speed(*one) for one in each], problems


def _pair(both: Sequence[tuple[Runs, Runs]], runs: Runs, of: dict[str, Values]) -> Pair:
    sides = zip(*both, strict=True)
    first, second = (Side([np.stack([of[run.run_id] for run in seeds]) for seeds in side]) for side in sides)
    spread = statistics.spread_of([float(of[run.run_id].mean()) for run in seeds] for seeds in seeds_together(runs))
    return first, second, spread


def _overfitting(run: CompletedRun) -> Values | None:
    """Training accuracy less whether each validation tweet is right: its mean is the overfitting gap."""
    scores = read_scores(run, "validation")
    if scores is None:
        return None
    return np.asarray(run.result.overfit.train_accuracy - scores.right("network"), np.float64)


def _looks(findings: Findings) -> tuple[list[Block], list[str]]:
    configurations = findings.main.configurations if findings.main else []
    best = next((one for one in configurations if one.config.model.pooling == "attention"), None)
    if best is None:
        return [], []
    run, names = best.best_seed, best.config.data.label_names
    found, problems = read_each([run], read_attention)
    samples = sorted(found.get(run.run_id, []), key=lambda one: -abs(one.score - THRESHOLD))
    right, wrong = ([one for one in samples if one.is_right == is_right] for is_right in (True, False))
    chosen = [*right[:_EXAMPLES], *wrong[:_EXAMPLES]]
    if not chosen:
        return [], problems
    caption = (
        f"What {configuration_name(best)} (run {run.run_id}) is surest of among n = {len(samples)} random test tweets. "
        "Shade: mean weight over hops, which says where the net looks, not why it decides."
    )
    tweets = [
        Attended(
            f"{'right' if one.is_right else 'wrong'}: label {names[one.label]}, probability of {names[1]} "
            f"{wording.percent(one.score)} %",
            one.tokens,
            list(np.mean(one.weights, axis=0)),
        )
        for one in chosen
    ]
    return [attention_figure("attention", "Attention on test tweets", caption, tweets)], problems
