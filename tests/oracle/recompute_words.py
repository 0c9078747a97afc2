"""How figures and settings are written, and what an opinion on a report consists of."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.oracle.recompute_designs import Configuration
from tests.oracle.recompute_files import Row, Run
from tests.oracle.recompute_numbers import Gap, Score

DASH = "\u2013"
MINUS = "\u2212"
PREDICTORS = {
    "network": "network",
    "baseline": "linear baseline",
    "both": "mean of both",
    "lexicon": "VADER's lexicon",
    "majority": "most frequent class",
}
THESE_MODELS = "single runs without seed replication, so it holds for these trained models alone"


@dataclass(frozen=True)
class Unknown:
    """Figures without a second opinion, by a reason of `NO_OPINION`; `pattern` says how many there are, joined by |."""

    reason: str
    pattern: str = r"[^|]+"


NO_OPINION = {
    "importance": "fANOVA is optuna's; no other implementation is at hand.",
    "published": "Figures of other people's publications, as in published.yaml.",
    "methods": "Constants of methods: levels, sizes, years.",
    "origin": "Versions, digests, ids, dates and commands, which are copied.",
    "drawing": "Where Vega draws what its specification, which is compared, says.",
}
NAMES_WITH_DIGITS = ("H100 80GB", "macro F1", "Macro F1", "mean F1", "by F1", "node-1", "F1")


@dataclass
class Statement:
    """A text of the page, recognised by `key`: all its figures in order, and words that it must contain."""

    key: str
    figures: list[Any]
    words: Sequence[str] = ()


@dataclass
class Opinion:
    """What a report must print.

    Attributes:
        tables: rows by the table's name; keys as in the CSV file.
        shown: those of a table that the page shows, if it does not show all.
        answers: by run and class: how many tweets are right, of how many; with these the page compares runs.
        names: texts with digits that are no figures of their own, such as those of configurations.
    """

    tables: dict[str, list[Row]] = field(default_factory=dict)
    shown: dict[str, list[Row]] = field(default_factory=dict)
    statements: list[Statement] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    figures: dict[str, dict[str, Score]] = field(default_factory=dict)
    answers: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    effects: dict[str, list[Gap]] = field(default_factory=dict)
    latex: dict[str, list[list[Any]]] = field(default_factory=dict)
    checklist: "Opinion | None" = None
    sentences: list[tuple[tuple[str, str], list[Any], str]] = field(default_factory=list)

    def say(self, key: str, *figures: Any, words: Sequence[str] = ()) -> None:
        self.statements.append(Statement(key, [*figures], words))


class Written(str):
    """A figure; `ways` are two where its last digit depends on the last bits of the computation."""

    ways: frozenset[str]

    @classmethod
    def by(cls, write: Callable[[float], str], value: float) -> "Written":
        text = cls(write(value))
        near = (value, value * (1 + 1e-9) + 1e-12, value * (1 - 1e-9) - 1e-12)
        text.ways = frozenset(write(number) for number in near)
        return text


def percent(value: float) -> Written:
    return Written.by(lambda number: f"{100 * number:.1f}".replace("-0.0", "0.0"), value)


def _points(value: float) -> str:
    text = f"{abs(100 * value):.1f}"
    if float(text) == 0:
        return text
    return f"{'+' if value > 0 else MINUS}{text}"


def points(value: float) -> Written:
    return Written.by(_points, value)


def count(value: float) -> str:
    return f"{int(value):,}" if float(value).is_integer() else f"{value:,.1f}"


def _p_text(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.{3 if value < 0.1 else 2}f}"


def p_text(value: float) -> Written:
    return Written.by(_p_text, value)


def _short_p(value: float) -> str:
    """`.042` with two digits, below .001 with one, below .00001 the bound alone."""
    if value < 1e-5:
        return ".00001"
    digits = (0 if value < 1e-3 else 1) - math.floor(math.log10(value))
    text = f"{value:.{digits}f}".rstrip("0").rstrip(".")
    return text.removeprefix("0")


def short_p(value: float) -> Written:
    return Written.by(lambda number: _short_p(max(number, 1e-9)), value)


def p_figure(value: float) -> Written:
    return Written.by(lambda number: _p_text(number).removeprefix("< "), value)


def _duration(seconds: float) -> str:
    for limit, unit, name in ((1.0, 0.001, "ms"), (90.0, 1.0, "s"), (5400.0, 60.0, "min"), (math.inf, 3600.0, "h")):
        if seconds < limit:
            amount = seconds / unit
            return "0 s" if not seconds else f"{amount:.{1 if amount < 10 or name == 'h' else 0}f} {name}"
    raise AssertionError


def duration(seconds: float) -> Written:
    return Written.by(_duration, seconds)


def setting_text(name: str, value: Any) -> str:
    """A setting in words, as names of configurations list it."""
    own = {
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
    if value in own.get(name, {}):
        return own[name][value]
    shown = "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    if name in _AFTER_NUMBER:
        return f"{shown} {_AFTER_NUMBER[name]}"
    return f"{_SETTINGS[name]} {shown}"


_AFTER_NUMBER = {"model.hidden_size": "hidden units", "data.train_rows": "labelled training tweets"}
_SETTINGS = {
    "model.dropout": "dropout",
    "data.text.urls": "text urls",
    "training.learning_rate": "learning rate",
    "elmo.model": "ELMo model",
    "training.early_stopping.metric": "early stopping metric",
}


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


def predictor_name(one: Configuration, kind: str) -> str:
    names = {"network": "{}", "both": "mean of both ({} and the linear baseline)"}
    return names.get(kind, PREDICTORS[kind]).format(name_of(one))


def at_most(gaps: Iterable[Gap]) -> list[Written]:
    """The farthest bound of several differences, if any is known."""
    farthest = [abs(bound) for gap in gaps for bound in (gap.low, gap.high) if bound is not None]
    return [percent(max(farthest))] if any(farthest) else []


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


def durations(gpu: float, cpu: float) -> list[str]:
    """The figures of `GPU 60 s, CPU 12 s`."""
    times = [gpu, cpu] if gpu else [cpu]
    return [Written.by(lambda number: _duration(max(number, 0.0)).split()[0], seconds) for seconds in times]


def level_text(level: float) -> str:
    """In per cent, with two digits of what it leaves out."""
    left = 100 * (1 - level)
    digits = max(1 - math.floor(math.log10(left) + 1e-9), 1)
    return f"{100 * level:.{digits}f}".rstrip("0").rstrip(".")


def level_of(found: Gap) -> str:
    return level_text(found.level)


def share_figures(found: Score) -> list[str]:
    """The figures of `81.2 % (95 % CI 78.4-83.9)`."""
    if found.low is None or found.high is None:
        return [percent(found.value)]
    return [percent(found.value), "95", percent(found.low), percent(found.high)]


def parameter_name(name: str) -> str:
    return _AFTER_NUMBER.get(name) or _SETTINGS.get(name) or _OTHER_SETTINGS[name]


def value_text(name: str, value: Any) -> str:
    """A value without the name of its setting."""
    text = setting_text(name, value)
    return (
        text.removeprefix(f"{_SETTINGS[name]} ")
        if name in _SETTINGS
        else text.removesuffix(f" {_AFTER_NUMBER.get(name, '')}")
    )


_OTHER_SETTINGS = {
    "configuration": "configuration",
    "data.text.stop_words": "stop words",
    "model.pooling": "pooling",
    "model.cell": "cell",
    "elmo.layers": "ELMo layers",
}


def claim_figures(found: Gap) -> list[str]:
    """The figures of `+1.9 points (95 % CI +1.2 to +2.5)`."""
    if found.low is None or found.high is None:
        return [points(found.value)]
    return [points(found.value), level_of(found), points(found.low), points(found.high)]


def _cost(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def cost_per_thousand(record: Row) -> str | None:
    parts = []
    for template, cost in (("cost {}", record["cost"]), ("{} s", record["seconds"])):
        if cost is not None:
            parts.append(template.format(_cost(1000 * cost / record["tweets"])))
    return ", ".join(parts) or None


def cost_figures(record: Row) -> list[str]:
    costs = [record[name] for name in ("cost", "seconds") if record[name] is not None]
    return [_cost(1000 * cost / record["tweets"]) for cost in costs]
