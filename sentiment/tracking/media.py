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
    drawings = {"learning_curves": _learning_curves(run_dir.read_metrics()), "confusion_matrix": _confusion(run_dir)}
    if run_dir.attention_file.exists():
        drawings["attention"] = _attention(run_dir.attention_file)
    paths = {}
    for name, drawing in drawings.items():
        paths[name] = folder / f"{name}.png"
        drawing.savefig(paths[name], dpi=_DOTS_PER_INCH)
    return paths


def _new_drawing(width: float, height: float) -> Any:
    """An empty matplotlib figure of this size in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _learning_curves(rows: list[dict[str, Any]]) -> Any:
    epochs = [row for row in rows if row["kind"] == "epoch"]
    drawing = _new_drawing(9, 3)
    for axes, metric in zip(drawing.subplots(1, len(_METRICS)), _METRICS, strict=True):
        for part, line in (("train", "--"), ("validation", "-")):
            axes.plot([row["epoch"] for row in epochs], [row[part][metric] for row in epochs], line, label=part)
        axes.set(title=metric, xlabel="epoch")
    axes.legend()
    return drawing


def _confusion(run_dir: RunDir) -> Any:
    """The number of test tweets for each label (rows) and prediction (columns)."""
    import pyarrow.parquet as pq

    table = pq.read_table(run_dir.predictions_file).to_pandas()
    test = table[table["part"] == "test"]
    cells = (2 * test["label"] + (test["score"] >= THRESHOLD)).value_counts()
    counts = [[int(cells.get(2 * label + predicted, 0)) for predicted in (0, 1)] for label in (0, 1)]
    drawing = _new_drawing(4, 3.4)
    axes = drawing.subplots()
    axes.imshow(counts, cmap="Blues", vmin=0)
    for label in (0, 1):
        for predicted in (0, 1):
            count = counts[label][predicted]
            colour = "white" if count > max(map(max, counts)) / 2 else "black"
            axes.text(predicted, label, f"{count:,}", ha="center", va="center", color=colour)
    names = ["negative", "positive"]
    axes.set(xticks=(0, 1), yticks=(0, 1), xticklabels=names, yticklabels=names, title=f"test, {len(test):,} tweets")
    axes.set(xlabel="predicted", ylabel="label")
    return drawing


def _attention(file: Path) -> Any:
    """Sample tweets, one above the other; in each the weights of its tokens (columns) in each hop (rows)."""
    samples = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()[:_TWEETS]]
    drawing = _new_drawing(12, 1.1 * len(samples) + 1)
    for axes, sample in zip(drawing.subplots(len(samples), squeeze=False).flat, samples, strict=True):
        weights = [hop[:_TOKENS] for hop in sample["weights"]]
        tokens = [_as_plain_text(token) for token in sample["tokens"][:_TOKENS]]
        axes.imshow(weights, cmap="Oranges", aspect="auto", vmin=0)
        axes.set_xticks(range(len(tokens)), tokens, rotation=45, ha="right", fontsize=7)
        axes.set_yticks([])
        axes.set_ylabel(f"{sample['score']:.2f}", rotation=0, ha="right", va="center")
        axes.set_title(f"{'positive' if sample['label'] else 'negative'}, scored {sample['score']:.2f}", fontsize=7)
    return drawing


def _as_plain_text(token: str) -> str:
    """A token's first characters, with those escaped that matplotlib would interpret or has no glyphs for."""
    return token[:20].replace("$", r"\$").encode("ascii", "backslashreplace").decode()
