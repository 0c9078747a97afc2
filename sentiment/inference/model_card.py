"""What stands in a model file besides weights: a description in Hugging Face's format, and whose model it is."""

from collections.abc import Iterator
from io import StringIO
from pathlib import PurePath
from typing import Any, Literal

from ruamel.yaml import YAML

from sentiment import __version__
from sentiment.config import RunConfig
from sentiment.console import as_code, as_markdown, visible
from sentiment.errors import UsageError
from sentiment.runs.records import (
    BASELINE,
    BOTH,
    LEXICON,
    MODEL_NAMES,
    NETWORK,
    SCHEMA_VERSION,
    Metrics,
    Record,
    Result,
    SchemaVersion,
)
from sentiment.runs.run_dir import RunDir, read_whole


class HandedOn(Record):
    """`model.json`: what a model that is handed on is."""

    schema_version: SchemaVersion = SCHEMA_VERSION
    format: Literal["sentiment-grids model"] = "sentiment-grids model"
    version: str
    """Of the program that wrote it."""
    config: RunConfig
    """Paths are reduced to the names of files."""
    result: Result
    dataset: str
    data_fingerprint: str
    git_commit: str | None
    versions: dict[str, str]
    devices: list[str]
    """What it was trained on."""


def hand_on(run_dir: RunDir) -> HandedOn:
    """What is to be said of a completed run.

    Raises:
        UsageError: the run is not completed.
        RunDirError: its files are damaged or of different runs.
    """
    run = read_whole(run_dir)
    if run.result is None or run.record is None:
        raise UsageError(f"{run_dir.path}: is not completed yet; the command that trains it goes on")
    result, record, config = run.result, run.record, without_paths(run.config)
    if result.elmo and config.elmo:
        result = result.model_copy(update={"elmo": result.elmo.model_copy(update={"model": config.elmo.model})})
    return HandedOn(
        version=__version__,
        config=config,
        result=result,
        dataset=record.dataset,
        data_fingerprint=record.data_fingerprint,
        git_commit=record.git_commit,
        versions=record.versions,
        devices=sorted({attempt.device for attempt in record.attempts}),
    )


def without_paths(config: RunConfig) -> RunConfig:
    """The configuration with names of files in place of paths, which would tell where somebody keeps them."""
    return config.respelled(lambda path: PurePath(path).name)


# Of each data set: its name, licence, and who is to be cited.
_DATA = {
    "vader": ("tweets of VADER", "MIT", "Hutto & Gilbert (2014), VADER: A Parsimonious Rule-based Model for "
              "Sentiment Analysis of Social Media Text"),
    "sample": ("1,000 tweets of VADER", "MIT", "Hutto & Gilbert (2014), VADER: A Parsimonious Rule-based Model for "
               "Sentiment Analysis of Social Media Text"),
    "sentiment140": ("Sentiment140", "none is stated", "Go, Bhayani & Huang (2009), Twitter Sentiment Classification "
                     "using Distant Supervision"),
}  # fmt: skip
_SCORES = ("accuracy", "precision", "recall", "f1")

_USE = """## Use

```python
from sentiment import load

model = load("model.zip")
model.predict(["what a lovely day"])
```

or `sentiment predict model.zip "what a lovely day"`. The program is on no package index: ask for its wheel
(`pip wheel --no-deps .` in a clone makes it) and install that: {install}.

It holds a network and a linear baseline. By default the {recommended} predicts, which was the most accurate on
validation tweets.
"""
_LIMITS = """## Limits

- Two classes: neutral tweets are called one or the other.
- Tokeniser and data are made for English tweets; nothing was measured on other languages or on longer texts.
- It repeats what the labels of its tweets say, with their errors and their authors' prejudices. Don't decide on people
  by it.
"""


def model_card(model: HandedOn) -> str:
    """The card as Markdown; no description, label or file name in it is taken for markup."""
    text = StringIO()
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.dump(_for_machines(model), text)
    return f"---\n{text.getvalue()}---\n\n" + "\n".join(_for_people(model)) + "\n"


def _for_machines(model: HandedOn) -> dict[str, Any]:
    data, licence, _ = _data(model)
    values: dict[str, Any] = {
        "language": "en",
        "license": "mit" if licence == "MIT" else "other",
        "library_name": "sentiment-grids",
        "pipeline_tag": "text-classification",
        "tags": ["sentiment-analysis", "tweets", model.config.model.kind],
        "metrics": ["accuracy", "f1"],
    }
    best = _of(model)[MODEL_NAMES[model.result.recommended]]
    results = [
        {
            "task": {"type": "text-classification", "name": "sentiment of tweets"},
            "dataset": {"type": visible(model.dataset), "name": visible(data), "split": part},
            "metrics": [{"type": name, "value": round(getattr(best[part], name), 4)} for name in _SCORES],
        }
        for part in model.result.parts[1:]
    ]
    return values | {"model-index": [{"name": visible(model.result.run_id), "results": results}]}


def _for_people(model: HandedOn) -> Iterator[str]:
    result = model.result
    negative, positive = map(as_code, model.config.data.label_names)
    yield f"# {as_markdown(result.run_id)}\n"
    yield f"{_sentence(model.config.description)}It tells tweets that are {positive} from those that are {negative}.\n"
    install = as_code(f"pip install ./sentiment_grids-{model.version}-py3-none-any.whl")
    yield _USE.format(install=install, recommended=MODEL_NAMES[model.result.recommended])
    yield "## Scores\n"
    yield from _table(model)
    yield "\nIntervals are Wilson's, 95 %. The epoch, and which model predicts, were chosen on validation tweets."
    yield f"It {as_markdown(result.overfit.verdict)}.\n"
    data, licence, cite = _data(model)
    yield "## Data\n"
    yield f"Data: {as_markdown(data)}; licence: {licence}." + (f" Please cite {cite}." if cite else "")
    yield "No tweet is in the file that this card belongs to, but its vocabulary holds words of them.\n"
    yield _LIMITS
    yield "## How it was made\n"
    epoch = f"best epoch {result.best_epoch} of {result.epochs}"
    yield f"- {result.parameters:,} weights; {epoch}; seed {model.config.seed}"
    yield f"- {result.seconds_trained:.0f} s on {as_markdown(', '.join(model.devices))}"
    commit = f", commit {model.git_commit[:12]}" if model.git_commit else ""
    yield f"- sentiment-grids {as_markdown(model.version + commit)}"
    yield "- " + as_markdown(", ".join(f"{name} {version}" for name, version in sorted(model.versions.items())))
    yield f"- SHA-256 of the weights {as_markdown(result.weights_sha256)}"
    yield f"- fingerprint of the tweets {as_markdown(model.data_fingerprint)}"


def _table(model: HandedOn) -> Iterator[str]:
    yield "| tweets | model | accuracy (95 %) | precision | recall | F1 |"
    yield "|---|---|---|---|---|---|"
    for part in model.result.parts:
        for name, scores in _of(model).items():
            one = scores[part]
            bold = "**" if name == MODEL_NAMES[model.result.recommended] else ""
            accuracy = f"{one.accuracy:.3f} ({one.accuracy_low:.3f}-{one.accuracy_high:.3f})"
            others = " | ".join(f"{value:.3f}" for value in (one.precision, one.recall, one.f1))
            yield f"| {part}, {one.n:,} | {bold}{name}{bold} | {accuracy} | {others} |"


def _of(model: HandedOn) -> dict[str, dict[Any, Metrics]]:
    result = model.result
    return {NETWORK: result.metrics, BASELINE: result.baseline, BOTH: result.combination, LEXICON: result.lexicon}


def _data(model: HandedOn) -> tuple[str, str, str]:
    """Name and licence of the data, and what to cite."""
    table = (model.config.data.source, "not known; ask who gave you this model", "")
    return _DATA.get(model.dataset, table)


def _sentence(text: str) -> str:
    text = text.strip().rstrip(".")
    return f"{as_markdown(text[:1].upper() + text[1:])}. " if text else ""
