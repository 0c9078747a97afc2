"""A trained model as one file for others, and its card: what it is, in Hugging Face's format."""

import json
import zipfile
from collections.abc import Iterator
from io import StringIO
from pathlib import Path, PurePath
from typing import Any, BinaryIO

from ruamel.yaml import YAML

from sentiment import __version__
from sentiment.config import RunConfig
from sentiment.console import as_code, as_markdown, visible
from sentiment.files import write_named
from sentiment.inference.stored import (
    BASELINE_FILE,
    CARD,
    CONFIG,
    NETWORK_FILE,
    VOCABULARY_FILE,
    Exported,
    scores_of,
    stored_run,
)
from sentiment.runs.records import MODEL_NAMES, Result, RunRecord
from sentiment.runs.run_dir import RunDir, read_whole

# A zip's first date; with that of the clock equal models would be different files.
_DATE = (1980, 1, 1, 0, 0, 0)

_VADER = "Hutto & Gilbert (2014), VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text"
_GO = "Go, Bhayani & Huang (2009), Twitter Sentiment Classification using Distant Supervision"
# Of each data set: its name, licence, and who is to be cited.
_DATA = {
    "vader": ("tweets of VADER", "MIT", _VADER),
    "sample": ("1,000 tweets of VADER", "MIT", _VADER),
    "sentiment140": ("Sentiment140", "none is stated", _GO),
}
_SCORES = ("accuracy", "precision", "recall", "f1")

_CARD = """# {name}

{description}It tells tweets that are {positive} from those that are {negative}.

## Use

```python
from sentiment import load

model = load("model.zip")
model.predict(["what a lovely day"])
```

or `sentiment predict model.zip "what a lovely day"`. The program is on no package index: ask for its wheel
(`pip wheel --no-deps .` in a clone makes it) and install that: {install}.

It holds a network and a linear baseline. By default the {recommended} predicts, which was the most accurate on
validation tweets.

## Scores

| tweets | model | accuracy (95 %) | precision | recall | F1 |
|---|---|---|---|---|---|
{scores}

Intervals are Wilson's, 95 %. The epoch, and which model predicts, were chosen on validation tweets.
It {verdict}.

## Data

Data: {data}; licence: {licence}.{cite}
No tweet is in the file that this card belongs to, but its vocabulary holds words of them.

{encoder}## Limits

- Two classes: neutral tweets are called one or the other.
- Tokeniser and data are made for English tweets; nothing was measured on other languages or on longer texts.
- It repeats what the labels of its tweets say, with their errors and their authors' prejudices. Don't decide on people
  by it.

## How it was made

- {weights:,} weights; best epoch {best_epoch} of {epochs}; seed {seed}
- {seconds:.0f} s on {devices}
- sentiment-grids {version}
- {versions}
- SHA-256 of the weights {sha256}
- fingerprint of the tweets {fingerprint}
"""


def without_paths(config: RunConfig) -> RunConfig:
    """The configuration with names of files in place of paths, which would tell where somebody keeps them."""
    return config.respelled(lambda path: PurePath(path).name)


def model_card(run_dir: RunDir) -> str:
    """The card of a completed run as Markdown; no description, label or file name in it is taken for markup.

    Raises:
        SentimentError: as `stored_run`.
    """
    run, record = stored_run(run_dir), read_whole(run_dir).record
    assert record is not None  # noqa: S101 - `read_whole` refuses a result without it
    result, config = run.result, without_paths(run.config)
    data, licence, cite = _DATA.get(record.dataset, (config.data.source, "not known; ask who gave you this model", ""))
    text, yaml = StringIO(), YAML()
    yaml.default_flow_style = False
    yaml.dump(_for_machines(config, result, record.dataset, data, licence), text)
    description = config.description.strip().rstrip(".")
    negative, positive = map(as_code, config.data.label_names)
    card = _CARD.format(
        name=as_markdown(result.run_id),
        description=f"{as_markdown(description[:1].upper() + description[1:])}. " if description else "",
        positive=positive,
        negative=negative,
        install=as_code(f"pip install ./sentiment_grids-{__version__}-py3-none-any.whl"),
        recommended=MODEL_NAMES[result.recommended],
        scores="\n".join(_table(result)),
        verdict=as_markdown(result.overfit.verdict),
        data=as_markdown(data),
        licence=licence,
        cite=f" Please cite {cite}." if cite else "",
        encoder=_encoder(config, result),
        **_making(config, result, record),
    )
    return f"---\n{text.getvalue()}---\n\n{card}"


def _encoder(config: RunConfig, result: Result) -> str:
    """The pretrained model that the file does not hold."""
    if config.frozen is None or result.encoder is None:
        return ""
    told, name = result.encoder, f"{'the ELMo model ' if config.elmo else ''}{as_code(config.frozen.model)}"
    commit = f", commit {as_code(told.commit)}" if told.commit else ""
    licence = as_markdown(told.licence or "not known")
    papers = f" Please cite {as_markdown(', '.join(f'arXiv:{one}' for one in told.papers))}." if told.papers else ""
    reads = "is fine-tuned from" if config.finetunes else "reads vectors of"
    return (
        f"## Encoder\n\nThe network {reads} {name}{commit}, which is not in the file; licence: {licence}."
        f"{papers}\nSHA-256 {as_code(told.fingerprint)}\n\n"
    )


def _for_machines(config: RunConfig, result: Result, dataset: str, data: str, licence: str) -> dict[str, Any]:
    results = [
        {
            "task": {"type": "text-classification", "name": "sentiment of tweets"},
            "dataset": {"type": visible(dataset), "name": visible(data), "split": part},
            "metrics": [
                {"type": name, "value": round(getattr(scores[MODEL_NAMES[result.recommended]], name), 4)}
                for name in _SCORES
            ],
        }
        for part, scores in scores_of(result).items()
        if part != "train"
    ]
    return {
        "language": "en",
        "license": "mit" if licence == "MIT" else "other",
        "library_name": "sentiment-grids",
        "pipeline_tag": "text-classification",
        "tags": ["sentiment-analysis", "tweets", config.model.kind],
        "metrics": ["accuracy", "f1"],
        "model-index": [{"name": visible(result.run_id), "results": results}],
    }


def _table(result: Result) -> Iterator[str]:
    for part, scores in scores_of(result).items():
        for name, one in scores.items():
            bold = "**" if name == MODEL_NAMES[result.recommended] else ""
            accuracy = f"{one.accuracy:.3f} ({one.accuracy_low:.3f}-{one.accuracy_high:.3f})"
            others = " | ".join(f"{value:.3f}" for value in (one.precision, one.recall, one.f1))
            yield f"| {part}, {one.n:,} | {bold}{name}{bold} | {accuracy} | {others} |"


def _making(config: RunConfig, result: Result, record: RunRecord) -> dict[str, Any]:
    commit = f", commit {code[:12]}" if (code := record.attempts[-1].git_commit) else ""
    return {
        "weights": result.parameters,
        "best_epoch": result.best_epoch,
        "epochs": result.epochs,
        "seed": config.seed,
        "seconds": result.seconds_trained,
        "devices": as_markdown(", ".join(sorted({attempt.device for attempt in record.attempts}))),
        "version": as_markdown(__version__ + commit),
        "versions": as_markdown(", ".join(f"{name} {version}" for name, version in sorted(record.versions.items()))),
        "sha256": as_markdown(result.weights_sha256),
        "fingerprint": as_markdown(record.data_fingerprint),
    }


def write_archive(run_dir: RunDir, target: Path) -> dict[str, int]:
    """Write the model of a completed run to a zip file, and give the size in bytes of each file in it.

    Equal runs give equal bytes, and no path is in them.

    Raises:
        SentimentError: the run is not completed, or a file of it is missing or damaged.
        OSError: the file cannot be written.
    """
    from safetensors.torch import save

    card, run = model_card(run_dir), stored_run(run_dir)
    weights, config, result = run.weights(), without_paths(run.config), run.result
    if result.encoder and config.frozen:
        result = result.model_copy(update={"encoder": result.encoder.model_copy(update={"model": config.frozen.model})})
    exported = Exported(config=config, result=result).model_dump(mode="json")
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in sorted(weights.items())}
    files = {
        CARD: card.encode(),
        BASELINE_FILE: run.content(BASELINE_FILE)[0],
        CONFIG: (json.dumps(exported, indent=2, sort_keys=True) + "\n").encode(),
        NETWORK_FILE: save(plain),
        VOCABULARY_FILE: run.content(VOCABULARY_FILE)[0],
    }

    def write(file: BinaryIO) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in files.items():
                archive.writestr(zipfile.ZipInfo(name, _DATE), content)

    write_named(target, write)
    return {name: len(content) for name, content in files.items()}
