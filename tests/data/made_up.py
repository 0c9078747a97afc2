"""Invented tweets and the files that hold them."""

import csv
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

SHARED = Path(__file__).parents[2].parent / "shared" / "data"

_PRAISE = ("love", "adore", "enjoy", "thank", "hug")
_BLAME = ("hate", "dread", "miss", "blame", "fear")
_THINGS = ("rain", "tea", "monday", "train", "cake", "exam", "garden", "phone")
_ENDS = ("!!!", "...", ":)", ":(", "&amp; more", "@robin_f", "http://ex.am/ple", "#life", "sooooo much", "don't you?")


def tweets(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """(label, text) of invented tweets, all different, positive and negative by turns."""
    rng = random.Random(seed)
    made = []
    for number in range(count):
        verb = rng.choice(_BLAME if number % 2 else _PRAISE)
        text = f"I {verb} the {rng.choice(_THINGS)} of day {seed}x{number} {rng.choice(_ENDS)}"
        made.append(("negative" if number % 2 else "positive", text))
    return made


def write_table(
    path: Path, rows: Iterable[Sequence[str]], header: Sequence[str] = ("label", "text"), delimiter: str = ","
) -> Path:
    """Write a CSV or TSV file as any program would."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def sentiment140_lines(count: int, first: int = 0) -> list[str]:
    """Lines in the form of Sentiment140, of invented users and texts."""
    lines = []
    for number, (label, text) in enumerate(tweets(count, seed=first)):
        fields = ["4" if label == "positive" else "0", str(first + number), "Mon Apr 06 22:19:45 PDT 2009", "NO_QUERY"]
        fields += [f"user{number % 97}", text]
        lines.append(",".join(f'"{field}"' for field in fields) + "\n")
    return lines
