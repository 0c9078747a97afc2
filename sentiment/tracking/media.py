"""Pictures for a run's page at Weights & Biases: learning curves, confusion matrix, attention."""

import json
from pathlib import Path
from typing import Any

from sentiment.records import THRESHOLD
from sentiment.run_dir import RunDir

_DOTS_PER_INCH = 100
_TWEETS = 6
_TOKENS = 30
_METRICS = ("loss", "accuracy", "f1")


def draw_outcome(run_dir: RunDir, folder: Path) -> dict[str, Path]:
    """Draw a completed run as PNG files of at most a megapixel each in `folder`; their paths by name.

    Raises:
        OSError: they cannot be written.
    """
    folder.mkdir(exist_ok=True)
    figures = {"learning_curves": _learning_curves(run_dir.read_metrics()), "confusion_matrix": _confusion(run_dir)}
    if run_dir.attention_file.exists():
        figures["attention"] = _attention(run_dir.attention_file, run_dir.read_config().data.label_names)
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", dpi=_DOTS_PER_INCH)
    return {name: folder / f"{name}.png" for name in figures}


def _new_figure(width: float, height: float) -> Any:
    """An empty figure of this size in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _learning_curves(rows: list[dict[str, Any]]) -> Any:
    epochs = [row for row in rows if row["kind"] == "epoch"]
    figure = _new_figure(9, 3)
    for axes, metric in zip(figure.subplots(1, len(_METRICS)), _METRICS, strict=True):
        for part, line in (("train", "--"), ("validation", "-")):
            axes.plot([row["epoch"] for row in epochs], [row[part][metric] for row in epochs], line, label=part)
        axes.set(title=metric, xlabel="epoch")
    axes.legend()
    return figure


def _confusion(run_dir: RunDir) -> Any:
    """The number of test tweets for each label (rows) and prediction (columns)."""
    import numpy as np
    import pyarrow.parquet as pq

    table = pq.read_table(run_dir.predictions_file, filters=[("part", "==", "test")])
    labels, scores = (table[name].to_numpy().astype(float) for name in ("label", "score"))
    counts = np.histogram2d(labels, scores >= THRESHOLD, bins=2, range=[(0, 1), (0, 1)])[0].astype(int)
    figure = _new_figure(4, 3.4)
    axes = figure.subplots()
    axes.imshow(counts, cmap="Blues", vmin=0)
    for (label, predicted), count in np.ndenumerate(counts):
        colour = "white" if count > counts.max() / 2 else "black"
        axes.text(predicted, label, f"{count:,}", ha="center", va="center", color=colour)
    for axis, name in ((axes.xaxis, "predicted"), (axes.yaxis, "label")):
        axis.set_ticks((0, 1), [_as_plain_text(name) for name in run_dir.read_config().data.label_names])
        axis.set_label_text(name)
    axes.set_title(f"test, {len(labels):,} tweets")
    return figure


def _attention(file: Path, names: tuple[str, str]) -> Any:
    """Sample tweets, one above the other; in each the weights of its tokens (columns) in each hop (rows)."""
    samples = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()[:_TWEETS]]
    figure = _new_figure(12, 1.1 * len(samples) + 1)
    for axes, sample in zip(figure.subplots(len(samples), squeeze=False).flat, samples, strict=True):
        tokens = [_as_plain_text(token) for token in sample["tokens"][:_TOKENS]]
        axes.imshow([hop[:_TOKENS] for hop in sample["weights"]], cmap="Oranges", aspect="auto", vmin=0)
        axes.set_xticks(range(len(tokens)), tokens, rotation=45, ha="right", fontsize=7)
        axes.set_yticks([])
        axes.set_title(f"{_as_plain_text(names[sample['label']])}, scored {sample['score']:.2f}", fontsize=7)
    return figure


def _as_plain_text(token: str) -> str:
    """A token's first characters, with those escaped that matplotlib would interpret or has no glyphs for."""
    return token[:20].replace("$", r"\$").encode("ascii", "backslashreplace").decode()
