"""The models of a completed run, in its directory or in one file for others, which has a card in Hugging Face's format.

From either they are made in one way, and asked alike.
"""

import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, BinaryIO

from ruamel.yaml import YAML

from sentiment import __version__
from sentiment.config import RunConfig
from sentiment.console import as_code, as_markdown, visible
from sentiment.data.vocabulary import Vocabulary
from sentiment.encoders.pretrained import PUBLISHED, TINY
from sentiment.errors import CheckpointError, RunDirError, UsageError
from sentiment.files import open_named, read_named, write_named
from sentiment.models.baseline import BaselineModel, LinearModel
from sentiment.models.lexicon import LexiconModel
from sentiment.models.text_model import MeanModel, TextModel, check_arrays, described
from sentiment.runs.records import MODEL_NAMES, FileRecord, ModelChoice, Result, RunRecord
from sentiment.runs.run_dir import Results, RunDir, check_file, parse_record, read_whole

if TYPE_CHECKING:
    import torch

CARD, CONFIG, NETWORK_FILE = "README.md", "config.json", "network.safetensors"
BASELINE_FILE, VOCABULARY_FILE = "baseline.safetensors", "vocabulary.txt"  # called so in a run's directory too
_NAMES = (CARD, BASELINE_FILE, CONFIG, NETWORK_FILE, VOCABULARY_FILE)
_MOST_BYTES = 1_000_000_000
_LONGEST_REASON = 200
_UNREADABLE = (OSError, EOFError, ValueError, zipfile.BadZipFile, NotImplementedError, RuntimeError)


class Exported(FileRecord):
    """`config.json`: what belongs to an exported model besides weights and vocabulary."""

    config: RunConfig
    result: Result


@dataclass(frozen=True)
class StoredRun:
    """What the models of a completed run are made of.

    Attributes:
        place: for messages.
        results: where its encoder is looked for.
        read: what is in a file of it; raises a RunDirError if that is missing, or is not that of the result.
    """

    place: str
    config: RunConfig
    result: Result
    results: Results
    read: Callable[[str], bytes]

    def content(self, name: str) -> tuple[bytes, str]:
        return self.read(name), f"{self.place}/{name}"

    def weights(self) -> "dict[str, torch.Tensor]":
        """The network's weights at the best epoch; a CheckpointError says that they are missing or damaged."""
        from safetensors import SafetensorError
        from safetensors.torch import load

        content, place = self.content(NETWORK_FILE)
        try:
            return load(content)
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{place}: holds no weights: {error}") from None


@dataclass(frozen=True)
class TrainedRun(StoredRun):
    """A run in its directory, which has its weights in a checkpoint."""

    run_dir: RunDir
    record: RunRecord

    def weights(self) -> "dict[str, torch.Tensor]":
        from sentiment.training.checkpoint import read_checkpoint, weights_sha256

        weights: dict[str, torch.Tensor] = read_checkpoint(self.run_dir.best_weights)["weights"]
        if weights_sha256(weights) != self.result.weights_sha256:
            raise CheckpointError(f"{self.run_dir.best_weights}: holds other weights than those of the result")
        return weights


def open_run(path: Path, results: Results | None = None) -> TrainedRun:
    """A completed run in its directory.

    Args:
        results: where its encoder is looked for; None is the folder that the run lies in.

    Raises:
        UsageError: it is no run's directory, and what is there instead, or not completed.
        RunDirError: its records are damaged, or not all of one run.
    """
    run_dir = RunDir(path)
    if not run_dir.config_file.exists():
        runs = sorted(file.parent.name for file in path.glob("*/config.json"))
        hint = f"its runs are: {', '.join(runs[:5])}{' ...' if len(runs) > 5 else ''}"
        missing = "is not a run's directory" if path.exists() else "no such directory"
        raise UsageError(f"{path}: {missing}; {hint if runs else '`train` prints it, as results/runs/single/RUN_ID'}")
    config, record, result = read_whole(run_dir)
    if result is None or record is None:  # a result without a record is refused
        raise UsageError(f"{path}: is not completed yet; the command that trains it goes on")

    def read(name: str) -> bytes:
        check_file(path / name, result)
        return read_named(path / name, _MOST_BYTES)

    return TrainedRun(str(path), config, result, results or run_dir.results, read, run_dir, record)


def read_archive(path: Path) -> dict[str, bytes]:
    """The files in what `export` wrote; nothing is unpacked, so that it takes no more memory than it is large.

    A RunDirError says that it cannot be read, or holds other files.
    """
    try:
        with open_named(path) as file, zipfile.ZipFile(file) as archive:
            entries = {entry.filename: entry.compress_type for entry in archive.infolist()}
            if len(entries) == len(archive.infolist()) and entries == dict.fromkeys(_NAMES, zipfile.ZIP_STORED):
                return {name: archive.read(name) for name in _NAMES}
            found = visible(", ".join(archive.namelist()))[:_LONGEST_REASON]
            why = f"it holds {found}, and not {', '.join(_NAMES)}, each once and not compressed"
    except _UNREADABLE as error:
        why = visible(str(error))[:_LONGEST_REASON] or "it ends too early"
    raise RunDirError(f"{path}: is no model that `sentiment export RUN_DIR FILE.zip` wrote: {why}")


def open_model(path: Path, choice: ModelChoice | None = None, results: Results | None = None) -> TextModel:
    """The model of a run's directory, or of a file that `sentiment export` wrote.

    Args:
        choice: which of a run's models; None is the one that was the most accurate on validation tweets.
        results: where its encoder is looked for; None is the folder that a run lies in, else `results`.

    Raises:
        SentimentError: there is nothing at the path, it is neither of the two, or damaged.
    """
    if not path.is_file() and path.suffix != ".zip":
        return load_model(open_run(path, results), choice)
    if not path.exists():
        raise UsageError(f"{path}: no such file; `sentiment export RUN_DIR {path}` writes one")
    files = read_archive(path)
    one = parse_record(files[CONFIG], Exported, f"{path}:{CONFIG}")
    return load_model(StoredRun(str(path), one.config, one.result, results or Results(), files.__getitem__), choice)


def load_model(run: StoredRun, choice: ModelChoice | None = None, device: "torch.device | None" = None) -> TextModel:
    """A model of a completed run, by default what the run recommends, its network on a GPU where there is one.

    Raises:
        SentimentError: what is stored is damaged, or does not belong together.
    """
    choice = choice or run.result.recommended
    temperature = run.result.temperatures[choice]
    if choice == "both":
        return MeanModel(load_model(run, "network", device), load_model(run, "baseline"), temperature)
    if choice == "network":
        return _network(run, device, temperature)
    return BaselineModel(run.config, LinearModel.from_bytes(*run.content(BASELINE_FILE)), temperature)


def _network(run: StoredRun, device: "torch.device | None", temperature: float) -> TextModel:
    from sentiment.encoders.finetuned import FineTuned
    from sentiment.models.classifier import NetworkModel, build_classifier, build_on_meta_device, load_encoder
    from sentiment.training.trainer import choose_device

    weights, vocabulary = run.weights(), Vocabulary.from_bytes(*run.content(VOCABULARY_FILE))
    chosen = device or choose_device("auto")
    encoder = load_encoder(run.config, run.result.encoder, run.results, chosen)
    reads = encoder if isinstance(encoder, FineTuned) or encoder is None else encoder.vector_size
    try:
        sketch = build_on_meta_device(run.config, len(vocabulary), reads).state_dict()
    except RuntimeError:
        raise RunDirError(f"{run.place}: its configuration asks for more weights than torch can count") from None
    check_arrays(run.place, weights, {name: described(one) for name, one in sketch.items()})
    model = build_classifier(run.config, len(vocabulary), encoder=reads)
    model.load_state_dict(weights)
    return NetworkModel(run.config, vocabulary, model, encoder, chosen, temperature)


def measured_models(run: StoredRun) -> list[TextModel]:
    """What a run is measured with, in the order of tables: network, baseline, their mean and the lexicon."""
    network, baseline = load_model(run, "network"), load_model(run, "baseline")
    both = MeanModel(network, baseline, run.result.temperatures["both"])
    return [network, baseline, both, LexiconModel(run.config)]


_VADER = "Hutto & Gilbert (2014), VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text"
_GO = "Go, Bhayani & Huang (2009), Twitter Sentiment Classification using Distant Supervision"
# Of each data set: its name, licence, and who is to be cited.
_DATA = {
    "vader": ("tweets of VADER", "MIT", _VADER),
    "sample": ("1,000 tweets of VADER", "MIT", _VADER),
    "sentiment140": ("Sentiment140", "none is stated", _GO),
}

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

- {result.parameters:,} weights; best epoch {result.best_epoch} of {result.epochs}; seed {seed}
- {result.seconds_trained:.0f} s on {devices}
- sentiment-grids {version}
- {versions}
- SHA-256 of the weights {sha256}
- fingerprint of the tweets {fingerprint}
"""


def without_paths(config: RunConfig) -> RunConfig:
    """The configuration with names of files in place of paths, which would tell where somebody keeps them."""
    return config.with_paths(lambda path: PurePath(path).name)


def model_card(run: TrainedRun) -> str:
    """The card of a run as Markdown; no description, label or file name in it is taken for markup."""
    result, record, config = run.result, run.record, without_paths(run.config)
    data, licence, cite = _DATA.get(record.dataset, (config.data.source, "not known; ask who gave you this model", ""))
    text, yaml = StringIO(), YAML()
    yaml.default_flow_style = False
    yaml.dump(_for_machines(config, result, record.dataset, data, licence), text)
    description = config.description.strip().rstrip(".")
    negative, positive = map(as_code, config.data.label_names)
    commit = f", commit {code[:12]}" if (code := record.attempts[-1].git_commit) else ""
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
        result=result,
        seed=config.seed,
        devices=as_markdown(", ".join(sorted({attempt.device for attempt in record.attempts}))),
        version=as_markdown(__version__ + commit),
        versions=as_markdown(", ".join(f"{name} {version}" for name, version in sorted(record.versions.items()))),
        sha256=as_markdown(result.weights_sha256),
        fingerprint=as_markdown(record.data_fingerprint),
    )
    return f"---\n{text.getvalue()}---\n\n{card}"


def _encoder(config: RunConfig, result: Result) -> str:
    if config.any_encoder is None or result.encoder is None:
        return ""
    told, name = result.encoder, f"{'the ELMo model ' if config.elmo else ''}{as_code(config.any_encoder.model)}"
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
                for name in ("accuracy", "precision", "recall", "f1")
            ],
        }
        for part, scores in result.scores.items()
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
    for part, scores in result.scores.items():
        for name, one in scores.items():
            bold = "**" if name == MODEL_NAMES[result.recommended] else ""
            accuracy = f"{one.accuracy:.3f} ({one.accuracy_low:.3f}-{one.accuracy_high:.3f})"
            others = " | ".join(f"{value:.3f}" for value in (one.precision, one.recall, one.f1))
            yield f"| {part}, {one.n:,} | {bold}{name}{bold} | {accuracy} | {others} |"


def write_archive(run: TrainedRun, target: Path) -> dict[str, int]:
    """Write the model of a completed run to a zip file, and give the size in bytes of each file in it.

    Equal runs give equal bytes, and no path is in them. Raises as `load_model`, and OSErrors of the target.
    """
    from safetensors.torch import save

    weights, config, result = run.weights(), without_paths(run.config), run.result
    if (read := result.encoder) and config.any_encoder:
        result = result.model_copy(update={"encoder": read.model_copy(update={"model": config.any_encoder.model})})
    exported = Exported(config=config, result=result).model_dump(mode="json")
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in sorted(weights.items())}
    files = {
        CARD: model_card(run).encode(),
        BASELINE_FILE: run.content(BASELINE_FILE)[0],
        CONFIG: (json.dumps(exported, indent=2, sort_keys=True) + "\n").encode(),
        NETWORK_FILE: save(plain),
        VOCABULARY_FILE: run.content(VOCABULARY_FILE)[0],
    }

    def write(file: BinaryIO) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in files.items():
                archive.writestr(zipfile.ZipInfo(name), content)  # with a zip's first date, not that of the clock

    write_named(target, write)
    return {name: len(content) for name, content in files.items()}


def missing_encoder(run: StoredRun) -> str:
    """The encoder that an exported file does not hold, and where its recipient gets it; empty if that needs none."""
    if run.config.any_encoder is None or (run.config.elmo and run.config.elmo.model == TINY):  # made where it is read
        return ""
    model, place = run.config.any_encoder.model, "its folder must be where the file is used"
    if run.config.encoder and not run.config.encoder.is_folder:
        place = f"`sentiment prepare encoder {model} --revision {run.config.encoder.revision}` fetches it"
    elif run.config.elmo and model in PUBLISHED:
        place = f"`sentiment prepare elmo {model}` fetches it"
    what = "ELMo model" if run.config.elmo else "encoder"
    return f"it needs the {what} {model!r}, which is not in it; {place}"
