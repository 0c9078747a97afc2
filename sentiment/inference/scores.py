"""How good the models of a run are on labelled tweets: one table of scores, differences, and what is to be known."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from rich.markup import escape
from rich.table import Table

from sentiment.console import visible
from sentiment.models.calibration import Probabilities
from sentiment.models.check_list import total
from sentiment.runs.records import (
    BASELINE,
    BOTH,
    LEXICON,
    MEASURED_MODELS,
    MODEL_NAMES,
    NETWORK,
    THRESHOLD,
    CheckScore,
    Metrics,
    Part,
)
from sentiment.runs.run_dir import RunDir, check_file
from sentiment.training.classifying import Flags, Labels, measure, paired_differences

_COLUMNS = {"score": NETWORK, "baseline": BASELINE, "both": BOTH, "lexicon": LEXICON}
# Data sets of the lexicon's authors, on which it is no fair reference.
_LEXICON_AUTHORS = ("vader", "sample")
_FEW_TWEETS = 100  # fewer validation tweets cannot tell good models from others


@dataclass(frozen=True)
class Scored:
    """What models say of labelled tweets.

    Attributes:
        models: by name, probabilities of positive sentiment, shape (n,).
        threshold: from which probability on a model says positive; the lexicon's scores are none, and keep the usual.
    """

    labels: Labels
    models: dict[str, Probabilities]
    threshold: float = THRESHOLD

    def _threshold(self, name: str) -> float:
        return THRESHOLD if name == LEXICON else self.threshold

    def metrics(self) -> dict[str, Metrics]:
        """The scores of each model."""
        return {name: measure(self.labels, said, self._threshold(name)) for name, said in self.models.items()}

    def difference_lines(self, chosen: str) -> list[str]:
        """By how much one model is more accurate than each of the others."""

        def right(name: str) -> Flags:
            flags: Flags = (self.models[name] >= self._threshold(name)) == (self.labels == 1)
            return flags

        others = [name for name in self.models if name != chosen]
        lines = [
            f"{chosen} less the others, on {len(self.labels):,} tweets: points of accuracy of these trained models, "
            "exact McNemar tests, corrected for their number"
        ]
        for name, gap in zip(others, paired_differences(right(chosen), [*map(right, others)]), strict=True):
            interval = f"{100 * gap.low:+.1f} to {100 * gap.high:+.1f}"
            lines.append(f"  {name:<17} {100 * gap.value:+5.1f}  (95 % interval {interval}, adjusted p = {gap.p:.2g})")
        return lines

    def warnings(self, names: tuple[str, str], what: str = "tweets") -> list[str]:
        """Which models say the same of all tweets.

        Args:
            names: of the negative and the positive label.
        """
        said = {name: np.unique(values >= self._threshold(name)) for name, values in self.models.items()}
        return [
            f"warning: the {name} says {names[int(labels[0])]!r} of all {len(self.labels):,} {what}"
            for name, labels in said.items()
            if len(labels) == 1 and len(self.labels) > 1
        ]


def own_scores(run_dir: RunDir, part: Part) -> Scored:
    """What a completed run said of a part of its own data but the training part.

    Raises:
        RunDirError: its predictions are missing or damaged.
    """
    import pyarrow.parquet as pq

    check_file(run_dir.predictions_file, run_dir.read_result())
    table = pq.read_table(run_dir.predictions_file)
    rows = np.array(table["part"].to_pylist()) == part
    models = {name: table[column].to_numpy().astype(np.float64)[rows] for column, name in _COLUMNS.items()}
    return Scored(table["label"].to_numpy().astype(np.int64)[rows], models)


def score_table(parts: Mapping[str, Mapping[str, Metrics]], chosen: str) -> Table:
    """The scores of models by part or file; those of the chosen model are emphasised."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    for name in ("loss", "accuracy", "(95 %)", "precision", "recall", "F1"):
        table.add_column(name, justify="right", no_wrap=True)
    for part, models in parts.items():
        n = next(iter(models.values())).n
        table.add_row(f"{escape(visible(part))}, {n:,} tweets", style="italic")
        for name, one in models.items():
            loss = "-" if name == LEXICON else f"{one.loss:.3f}"  # its scores are no probabilities
            interval = f"{one.accuracy_low:.3f}-{one.accuracy_high:.3f}"
            others = (f"{score:.3f}" for score in (one.precision, one.recall, one.f1))
            style = "bold" if name == chosen else ""
            table.add_row(f"  {name}", loss, f"{one.accuracy:.3f}", interval, *others, style=style)
    return table


def check_table(check_list: dict[str, dict[str, CheckScore]], chosen: str) -> Table:
    """The check list by capability: of how many sentences each model is right; the chosen model is emphasised."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("check list")
    for name in MEASURED_MODELS:
        table.add_column(name, justify="right", style="bold" if name == chosen else "")
    tallies = [check_list[name] for name in MEASURED_MODELS]
    for capability in tallies[0]:
        table.add_row(f"  {capability}", *(f"{of[capability].right} of {of[capability].of}" for of in tallies))
    table.add_row("  all", *(f"{one.right} of {one.of}" for one in map(total, tallies)), style="italic")
    return table


def remarks(run_dir: RunDir) -> list[str]:
    """What should be known before anything is concluded from a completed run's table of scores.

    Raises:
        RunDirError: its predictions are missing or damaged.
    """
    config, result = run_dir.read_config(), run_dir.read_result()
    validation = own_scores(run_dir, "validation")
    lines = validation.warnings(config.data.label_names, "validation tweets")
    if config.data.source in _LEXICON_AUTHORS:
        lines.append("These tweets were collected and rated by the authors of VADER's lexicon, for it.")
    if (n := len(validation.labels)) < _FEW_TWEETS:
        lines.append(f"warning: {n} validation tweets are too few to choose a model or an epoch by")
    if result:
        lines.append(f"most accurate on validation tweets, and used by predict: {MODEL_NAMES[result.recommended]}")
    return ["", *lines]
