"""How the CSV tables name configurations, settings and predictors, and what a run costs."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tests.oracle.recompute_designs import Candidate, Configuration
from tests.oracle.recompute_files import Row, Run
from tests.oracle.recompute_numbers import Gap, Score

DASH = "\u2013"
PREDICTORS = {
    "network": "network",
    "baseline": "linear baseline",
    "both": "mean of both",
    "lexicon": "VADER's lexicon",
    "majority": "most frequent class",
}
_WORDS = {
    "data.text.stop_words": {
        "none": "stop words kept",
        "keep_negations": "stop words removed except negations",
        "all": "all stop words removed",
    },
    "model.pooling": {"last": "last hidden state", "attention": "self-attention", "mean+max": "mean+max pooling"},
    "model.cell": {"lstm": "LSTM", "gru": "GRU"},
    "elmo.layers": {"mix": "ELMo's layers mixed", "top": "ELMo's top layer"},
    "data.train_rows": {None: "all labelled tweets"},
}
_AFTER_NUMBER = {"model.hidden_size": "hidden units", "data.train_rows": "labelled training tweets"}
_SETTINGS = {
    "model.dropout": "dropout",
    "data.text.urls": "text urls",
    "training.learning_rate": "learning rate",
    "elmo.model": "ELMo model",
    "training.early_stopping.metric": "early stopping metric",
}
_OTHER_SETTINGS = {
    "configuration": "configuration",
    "data.text.stop_words": "stop words",
    "model.pooling": "pooling",
    "model.cell": "cell",
    "elmo.layers": "ELMo layers",
}


def setting_text(name: str, value: Any) -> str:
    """A setting in words, as names of configurations list it."""
    words = _WORDS.get(name, {})
    if value in words:
        return words[value]
    shown = "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    if name in _AFTER_NUMBER:
        return f"{shown} {_AFTER_NUMBER[name]}"
    return f"{_SETTINGS[name]} {shown}"


def parameter_name(name: str) -> str:
    return _AFTER_NUMBER.get(name) or _SETTINGS.get(name) or _OTHER_SETTINGS[name]


def model_name(settings: Row) -> str:
    direction = "Bi" if settings["model.bidirectional"] else ""
    name = f"{direction}{settings['model.cell'].upper()} {settings['model.hidden_size']}"
    if not settings.get("elmo.model"):
        return name
    layers = "layer mix" if settings["elmo.layers"] == "mix" else f"{settings['elmo.layers']} layer"
    beside = "" if settings["elmo.combine"] == "alone" else " + trained embeddings"
    return f"ELMo {settings['elmo.model']} ({layers}){beside} + {name}"


def name_of(one: Configuration) -> str:
    words = [setting_text(name, value) for name, value in one.distinguishing.items()]
    name = ", ".join([model_name(one.tested[0].settings), *words])
    return f"{name} [always predicts {one.only_label}]" if one.only_label else name


def predictor_name(candidate: Candidate) -> str:
    names = {"network": "{}", "both": "mean of both ({} and the linear baseline)"}
    name = names.get(candidate.kind, PREDICTORS[candidate.kind]).format(name_of(candidate.one))
    words = [setting_text(key, value) for key, value in candidate.settings.items()]
    return f"{name} ({', '.join(words)})" if words and candidate.kind == "baseline" else name


def bounds(key: str, found: Gap | Score | None) -> Row:
    if found is None:
        return {key: None, f"{key}_low": None, f"{key}_high": None}
    return {key: found.value, f"{key}_low": found.low, f"{key}_high": found.high}


@dataclass(frozen=True)
class Usage:
    """Compute time in seconds: of attempts, and of encoder vectors, once for all runs that read them."""

    attempts: int
    gpu: float
    cpu: float
    encoder_gpu: float
    encoder_cpu: float


def usage_of(runs: Iterable[Run]) -> Usage:
    attempts, times, caches = 0, [(0.0, 0.0)], {}
    once = {(run.record["run_id"], run.record["attempts"][0]["start"]): run for run in runs if run.record}
    for run in once.values():
        assert run.record is not None
        attempts += len(run.record["attempts"])
        known = [one["compute_time"] for one in run.record["attempts"] if one["compute_time"]]
        times += [(time["gpu_seconds"], time["cpu_seconds"]) for time in known]
        if not known and run.result:
            seconds = run.result["seconds_trained"]
            times.append((0.0 if run.record["attempts"][-1]["device"] == "cpu" else seconds, seconds))
        cache = (run.record["encoder"] or {}).get("cache")
        if cache:
            best = caches.get(cache["folder"], (0.0, 0.0))
            caches[cache["folder"]] = max(best, (cache["gpu_seconds"], cache["cpu_seconds"]), key=lambda pair: pair[1])
    gpu, cpu = (sum(column) for column in zip(*times, strict=True))
    encoder_gpu, encoder_cpu = (sum(column) for column in zip(*[*caches.values(), (0.0, 0.0)], strict=True))
    return Usage(attempts, gpu, cpu, encoder_gpu, encoder_cpu)


def cost_of(one: Configuration) -> tuple[float, float]:
    """GPU and CPU seconds of one seed, with all vectors of the encoder, which are computed once."""
    usage = usage_of(one.runs)
    n = len(one.tested)
    return usage.gpu / n + usage.encoder_gpu, usage.cpu / n + usage.encoder_cpu
