"""A trained model by its place: the directory of a run, or a file that was handed on."""

from pathlib import Path
from typing import Any

from sentiment.data.vocabulary import Vocabulary
from sentiment.errors import CheckpointError, UsageError
from sentiment.handing_on.archive import BASELINE_FILE, NETWORK_FILE, VOCABULARY_FILE, OpenedArchive, open_archive
from sentiment.inference.combined import Choice, load_model
from sentiment.models.baseline.linear_model import LinearModel
from sentiment.models.text_model import BaselinePredictor, MeanPredictor, TextModel
from sentiment.records import BOTH
from sentiment.run_dir import Results
from sentiment.whole_run import trained_run


def open_model(path: Path, choice: Choice | None = None, results: Results | None = None) -> TextModel:
    """The model of a run's directory, or of a file that `sentiment export` wrote.

    Args:
        choice: which of a run's models; None is the one that was the most accurate on validation tweets.
        results: where a handed on model's ELMo model is looked for, if it reads one; None is the folder `results`.

    Raises:
        UsageError: there is nothing at the path, it is neither of the two, or it has no such model.
        SentimentError: what is there is damaged.
    """
    if path.is_file() or path.suffix == ".zip":
        if not path.exists():
            raise UsageError(f"{path}: no such file; `sentiment export RUN {path}` writes one")
        return _from_archive(open_archive(path), choice, results or Results(Path("results")))
    return load_model(trained_run(path), choice)


def _from_archive(archive: OpenedArchive, choice: Choice | None, results: Results) -> TextModel:
    chosen = choice or archive.model.result.recommended
    if chosen == "seeds":
        raise UsageError(f"{archive.path}: holds one run, and no other seeds; valid are network, baseline and both")
    if chosen == "network":
        return _network(archive, results)
    model = LinearModel.from_bytes(archive.files[BASELINE_FILE], f"{archive.path}:{BASELINE_FILE}")
    temperatures = archive.model.result.temperatures
    baseline = BaselinePredictor(archive.model.config, model, temperatures["baseline"])
    if chosen == "baseline":
        return baseline
    return MeanPredictor(BOTH, (_network(archive, results), baseline), temperatures["both"])


def _network(archive: OpenedArchive, results: Results) -> TextModel:
    from safetensors import SafetensorError
    from safetensors.torch import load

    from sentiment.inference.predictor import NetworkParts

    place = f"{archive.path}:{NETWORK_FILE}"
    try:
        weights: dict[str, Any] = load(archive.files[NETWORK_FILE])
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{place}: holds no weights: {error}") from None
    vocabulary = Vocabulary.from_bytes(archive.files[VOCABULARY_FILE], f"{archive.path}:{VOCABULARY_FILE}")
    result = archive.model.result
    parts = NetworkParts(place, archive.model.config, vocabulary, weights, result.elmo, result.temperatures["network"])
    return parts.predictor(results)
