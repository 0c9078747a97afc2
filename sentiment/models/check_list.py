"""Short sentences of which anybody knows the label, by what they ask of a model, as in CheckList (Ribeiro et al. 2020).

They show what a model can do at all, also where its own test tweets are too much like its training tweets to tell. They
choose nothing: neither settings nor which model predicts.
"""

import csv
from collections import Counter
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from sentiment.models.text_model import TextModel
from sentiment.runs.records import THRESHOLD, CheckScore


class Check(NamedTuple):
    """One sentence of the list."""

    capability: str
    text: str
    positive: bool


@cache
def checks() -> tuple[Check, ...]:
    """All sentences, in the order of the file."""
    text = files("sentiment.models").joinpath("check_list.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return tuple(Check(row["capability"], row["text"], row["label"] == "positive") for row in rows)


def check(model: TextModel) -> dict[str, CheckScore]:
    """How a model does by capability; a sentence of which it knows no word is not right."""
    reading = model.read_texts([one.text for one in checks()])
    said = (reading.probabilities >= THRESHOLD).tolist()
    found = zip(checks(), said, reading.usable.tolist(), strict=True)
    right = Counter(one.capability for one, positive, usable in found if usable and positive == one.positive)
    return {name: CheckScore(right[name], of) for name, of in Counter(one.capability for one in checks()).items()}


def total(tallies: dict[str, CheckScore]) -> CheckScore:
    """That over all capabilities."""
    return CheckScore(sum(one.right for one in tallies.values()), sum(one.of for one in tallies.values()))
