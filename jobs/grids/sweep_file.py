"""Grid files: W&B sweep files, which `wandb sweep` accepts as they are. All mistakes are reported at once."""

import hashlib
import json
import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator
from ruamel.yaml.error import MantissaNoDotYAML1_1Warning

from sentiment.config import Section
from sentiment.config_file import explain, parse_yaml, read_yaml
from sentiment.errors import ConfigError
from sentiment.install_paths import shipped_file
from sentiment.runs.records import PARTS, Halving, Metrics, Part
from sentiment.runs.run_dir import SINGLE

Scalar = str | int | float | bool | None
Number = int | float

_DIGITS = 6
_BISECTIONS = 40
_LARGEST = 1e15
_RANGE = ("min", "max")

# What each distribution needs and what it may say besides, with defaults, as in W&B's schema.
KEYS: Mapping[str, tuple[tuple[str, ...], Mapping[str, Number]]] = {
    "int_uniform": (_RANGE, {}),
    "uniform": (_RANGE, {}),
    "log_uniform_values": (_RANGE, {}),
    "normal": ((), {"mu": 0, "sigma": 1}),
}
"""By distribution: the required keys, and the optional ones with their defaults."""

NUMBERS = ("min", "max", "mu", "sigma")
"""All keys that hold a number."""


@dataclass(frozen=True)
class Distribution:
    """A distribution of numbers, or of values with unequal probabilities."""

    name: str
    numbers: Mapping[str, Number]
    """All of `KEYS[name]`; empty for values with probabilities."""
    values: tuple[Scalar, ...] = ()
    probabilities: tuple[float, ...] = ()
    """Of the values; their sum is 1."""

    def draw(self, seed: int, parameter: str, index: int) -> Scalar:
        """The value of a parameter in the trial of this index."""
        return self.quantile(uniform_number(seed, parameter, index))

    def quantile(self, share: float) -> Scalar:
        """The value below which this share of all draws lies."""
        if self.values:
            return self._category(share)
        if self.name == "int_uniform":
            first, last = int(self.numbers["min"]), int(self.numbers["max"])
            return first + int(share * (last - first + 1))
        value = _rounded(_FAMILIES[self.name](share, self.numbers))
        if self.name == "normal":
            return value
        return min(max(value, self.numbers["min"]), self.numbers["max"])  # rounding must not lead out of the range

    def share(self, value: float) -> float:
        """The share of all draws that lie below a number: the inverse of `quantile`."""
        low, high = 0.0, 1.0
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            found = self.quantile(middle)
            low, high = (middle, high) if isinstance(found, int | float) and found < value else (low, middle)
        return (low + high) / 2

    def as_parameter(self) -> dict[str, Any]:
        """As it stands in a grid's file."""
        if self.values:
            return {"values": list(self.values), "probabilities": list(self.probabilities)}
        return {"distribution": self.name, **self.numbers}

    def listed(self) -> Sequence[Scalar] | None:
        """All values, for a grid that is run in full; None for distributions of which W&B makes no grid either."""
        if self.name != "int_uniform":
            return None
        return range(int(self.numbers["min"]), int(self.numbers["max"]) + 1)

    def __str__(self) -> str:
        if self.values:
            pairs = zip(self.values, self.probabilities, strict=True)
            return ", ".join(f"{value!r} with probability {share:g}" for value, share in pairs)
        return " ".join([self.name, *(f"{name}={number}" for name, number in self.numbers.items())])

    def _category(self, share: float) -> Scalar:
        below = 0.0
        for value, probability in zip(self.values, self.probabilities, strict=True):
            below += probability
            if share < below:
                return value
        return next(value for value, one in zip(self.values[::-1], self.probabilities[::-1], strict=True) if one)


def uniform_number(seed: int, parameter: str, index: int) -> float:
    """A number between 0 and 1, both excluded, which depends on nothing but these three."""
    digest = hashlib.sha256(f"{seed}\0{parameter}\0{index}".encode()).digest()
    return (int.from_bytes(digest[:6], "big") + 0.5) / 2**48


def explain_mistake(name: str, numbers: Mapping[str, Number]) -> str | None:
    """What is wrong with the numbers of a distribution, in a line; None if they are valid."""
    needed, optional = KEYS[name]
    if missing := [key for key in needed if key not in numbers]:
        return f"distribution {name} needs {' and '.join(missing)}"
    if unknown := [key for key in numbers if key not in (*needed, *optional)]:
        return f"distribution {name} has no {', '.join(unknown)}; it takes {', '.join([*needed, *optional])}"
    if large := [key for key, number in numbers.items() if abs(number) > _LARGEST]:
        return f"{large[0]} is beyond {_LARGEST:.0e}"
    if needed and numbers["min"] >= numbers["max"]:
        return f"min {numbers['min']} is not below max {numbers['max']}"
    if name == "int_uniform" and not all(isinstance(numbers[key], int) for key in _RANGE):
        return "distribution int_uniform takes whole numbers as min and max"
    if name == "log_uniform_values" and numbers["min"] <= 0:
        return f"distribution {name} takes positive numbers, not min {numbers['min']}"
    return f"sigma must be greater than 0, not {numbers['sigma']}" if numbers.get("sigma", 1) <= 0 else None


def _uniform(share: float, of: Mapping[str, Number]) -> float:
    from scipy import stats

    return float(stats.uniform.ppf(share, loc=of["min"], scale=of["max"] - of["min"]))


def _log_uniform(share: float, of: Mapping[str, Number]) -> float:
    from scipy import stats

    return float(stats.loguniform.ppf(share, of["min"], of["max"]))


def _normal(share: float, of: Mapping[str, Number]) -> float:
    from scipy import stats

    return float(stats.norm.ppf(share, loc=of["mu"], scale=of["sigma"]))


_FAMILIES: Mapping[str, Callable[[float, Mapping[str, Number]], float]] = {
    "uniform": _uniform,
    "log_uniform_values": _log_uniform,
    "normal": _normal,
}


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


# Distributions of W&B that are constants and lists, by the key that they go with.
_LISTS = {"constant": "value", "categorical": "values", "categorical_w_probabilities": "values"}

Values = Sequence[Scalar] | Distribution
"""The values that a parameter may take."""


class Parameter(Section):
    """The values that a field of a run may take, or the fields of a section; keys as in W&B's schema."""

    value: Scalar = None
    """A constant."""
    values: Annotated[list[Scalar], Field(min_length=1)] | None = None
    probabilities: list[Annotated[float, Field(ge=0, strict=False)]] | None = None
    """Of the `values`, with method `random`; None draws all alike."""
    distribution: str | None = None
    """Of numbers, with method `random`, as in `jobs.grids.sweep_file`. None is W&B's choice: with `min` and `max`
    int_uniform if both are whole numbers, else uniform."""
    min: Number | None = None
    max: Number | None = None
    mu: Number | None = None
    """The mean."""
    sigma: Number | None = None
    """The standard deviation."""
    parameters: "dict[str, Parameter] | None" = None
    """Fields of a section, by name."""

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        kinds = {*self.model_fields_set} - {"probabilities", "distribution", *NUMBERS}
        drawn = self._distribution_name
        if len(kinds) + (drawn is not None) != 1 or (kinds and self._numbers):
            raise ValueError("needs exactly one of value, values, a distribution (or min and max), and parameters")
        if drawn is not None:
            if drawn in _LISTS:
                raise ValueError(f"distribution {drawn!r} goes with {_LISTS[drawn]}")
            if drawn not in KEYS:
                raise ValueError(f"distribution {drawn!r} is unknown; valid: {', '.join(_LISTS)}, {', '.join(KEYS)}")
            if mistake := explain_mistake(drawn, self._numbers):
                raise ValueError(mistake)
        return self

    @model_validator(mode="after")
    def _probabilities_are_of_the_values(self) -> Self:
        if self.probabilities is None:
            return self
        if len(self.probabilities) != len(self.values or ()):
            raise ValueError(f"{len(self.probabilities)} probabilities of {len(self.values or ())} values")
        if not math.isclose(sum(self.probabilities), 1, abs_tol=1e-6):
            raise ValueError(f"the probabilities add up to {sum(self.probabilities):g} instead of 1")
        return self

    def flatten(self, name: str) -> dict[str, Values]:
        """The possible values by dotted name."""
        if self.parameters is not None:
            inner = (parameter.flatten(f"{name}.{key}") for key, parameter in self.parameters.items())
            return {key: values for section in inner for key, values in section.items()}
        return {name: self._values()}

    def _values(self) -> Values:
        if self.values is not None and self.probabilities is not None:
            return Distribution("categorical", {}, tuple(self.values), tuple(self.probabilities))
        if drawn := self._distribution_name:
            return Distribution(drawn, {**KEYS[drawn][1], **self._numbers})
        return [self.value] if self.values is None else _without_repeats(self.values)

    @property
    def _numbers(self) -> dict[str, Number]:
        """Those that are given."""
        found = {name: getattr(self, name) for name in NUMBERS}
        return {name: number for name, number in found.items() if number is not None}

    @property
    def _distribution_name(self) -> str | None:
        """The distribution of numbers; None for constants, lists and sections."""
        if self.distribution is not None:
            listed = _LISTS.get(self.distribution)
            return None if listed and listed in self.model_fields_set else self.distribution
        if not {"min", "max"} & self._numbers.keys():
            return None
        return "int_uniform" if all(isinstance(one, int) for one in (self.min, self.max)) else "uniform"


def _without_repeats(values: list[Scalar]) -> list[Scalar]:
    return list({json.dumps(value): value for value in values}.values())


Epochs = Annotated[int, Field(ge=1, le=1_000_000)]


class EarlyTerminate(Section):
    """Trials are compared after some epochs (bands), and only the best `1/eta` of them go on.

    As with W&B a trial's iterations are the rows that it logs of the metric: its epochs. `min_iter` begins the bands,
    each `eta` times the one before; `max_iter` ends them instead, and `s` is their number.
    """

    type: Literal["hyperband"]
    min_iter: Epochs | None = None
    max_iter: Epochs | None = None
    s: Epochs | None = None
    eta: Annotated[float, Field(ge=1.1)] = 3.0
    strict: bool = True
    """Whether a trial counts by its score at the band, or by its best so far. The default is that of W&B's schema."""

    @model_validator(mode="after")
    def _says_where_bands_are(self) -> Self:
        if (self.min_iter is None) == (self.max_iter is None):
            raise ValueError("needs either min_iter, or max_iter and s")
        if (self.max_iter is None) != (self.s is None):
            raise ValueError("s goes with max_iter: how many bands there are before it")
        return self

    def halving(self, epochs: int) -> Halving:
        """The rungs of a search whose longest trial has so many epochs.

        Raises:
            ConfigError: there is no band before that.
        """
        bands = [band for band in self._bands(epochs) if band < epochs]
        if not bands:
            raise ConfigError(f"early_terminate: no band lies below the {epochs} epochs of the runs")
        return Halving(epochs=bands, eta=self.eta, strict=self.strict)

    def _bands(self, epochs: int) -> list[int]:
        bands: set[int] = set()
        if self.min_iter is not None:
            band = float(self.min_iter)
            while int(band) < epochs:
                bands.add(int(band))
                band *= self.eta
        else:
            band = float(self.max_iter or 0)
            for _ in range(self.s or 0):
                band /= self.eta
                if band < 1:
                    break
                bands.add(int(band))
        return sorted(bands)


MOST_RUNS = 50_000
_Runs = Annotated[int, Field(ge=1, le=MOST_RUNS)]
_MACROS = ("${args_no_hyphens}", "${args}")
_COMMAND = "[${env}, python, -m, sentiment, train, configs/runs/rnn.yaml, ${args_no_hyphens}]"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


class Metric(Section):
    """The score that the best run is chosen by."""

    name: str
    goal: Literal["maximize", "minimize"]

    @model_validator(mode="after")
    def _is_measured(self) -> Self:
        part, _, score = self.name.partition("/")
        scores = ("loss", "accuracy", "precision", "recall", "f1")
        if part not in PARTS or score not in scores:
            raise ValueError(f"{self.name!r} is not measured; valid: validation/ and one of {', '.join(scores)}")
        better = "minimize" if score == "loss" else "maximize"
        if self.goal != better:
            raise ValueError(f"goal {self.goal!r} would choose the worst {score}; {better!r} is meant")
        return self

    def of(self, metrics: Mapping[Part, Metrics]) -> float:
        """This score in a run's metrics, with its sign changed where lower is better."""
        part, _, score = self.name.partition("/")
        found = float(getattr(metrics[part], score))
        return -found if self.goal == "minimize" else found


class BaseRuns(Section):
    """Which runs of a finished grid take the place of the base run."""

    grid: str
    runs: Literal["overfitting", "best"]
    """`overfitting`: each run that overfits by the rule in its result. `best`: the best of those configurations that
    do not overfit with any seed, by the mean over their seeds."""
    count: _Runs = 1
    """With `best`: how many."""

    @model_validator(mode="after")
    def _count_is_of_the_best(self) -> Self:
        if self.runs == "overfitting" and self.count != 1:
            raise ValueError("count goes with runs 'best'; of those that overfit all are taken")
        return self


class Controller(Section):
    """How trials are drawn; the one section in which W&B's own schema leaves room for more keys."""

    type: Literal["cloud"] = "cloud"
    """For W&B."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    """Of the random draw, with method `random`, and of the suggestions, with `bayes`."""
    rounds: _Runs | None = None
    """With method `bayes`: how many there are; each is suggested from the results of those before."""
    per_round: _Runs | None = None
    """With method `bayes`: how many trials a round has, which run at the same time."""
    base: BaseRuns | None = None
    """None lets all runs start from the file that `command` names."""


class SweepFile(Section):
    """One grid: a question, and the runs that answer it."""

    name: str
    description: Annotated[str, Field(min_length=1)]
    """The question."""
    project: str | None = None
    """At W&B; ignored here."""
    entity: str | None = None
    """At W&B; ignored here."""
    method: Literal["grid", "random", "bayes"]
    metric: Metric
    run_cap: _Runs | None = None
    """How many trials are drawn, with method `random`."""
    early_terminate: EarlyTerminate | None = None
    """None trains all trials to their end."""
    controller: Controller = Controller()
    command: list[str]
    parameters: Annotated[dict[str, Parameter], Field(min_length=1)]

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.name == SINGLE or not _NAME.fullmatch(self.name):
            raise ValueError(f"name {self.name!r}: takes letters, digits, _ and -, and is not {SINGLE!r}")
        if len(self.command) < 3 or self.command[-3] != "train" or self.command[-1] not in _MACROS:
            raise ValueError(f"command must end in train, the base run's file and the arguments, as in {_COMMAND}")
        drawn = {"run_cap": self.run_cap, "controller.seed": self.controller.seed}
        rounds = {"controller.rounds": self.controller.rounds, "controller.per_round": self.controller.per_round}
        if self.method != "bayes" and any(value is not None for value in rounds.values()):
            raise ValueError("controller.rounds and controller.per_round go with method bayes")
        if self.method == "random" and None in drawn.values():
            missing = " and ".join(key for key, value in drawn.items() if value is None)
            raise ValueError(f"method random needs {missing}: how many trials, and the seed that they are drawn with")
        if self.method == "grid" and any(value is not None for value in drawn.values()):
            raise ValueError("run_cap and controller.seed go with method random; a grid is run in full")
        return self

    @model_validator(mode="after")
    def _rounds_are_complete(self) -> Self:
        if self.method != "bayes":
            return self
        needed = {name: getattr(self.controller, name) for name in ("rounds", "per_round", "seed")}
        if missing := [f"controller.{name}" for name, value in needed.items() if value is None]:
            raise ValueError(f"method bayes needs {' and '.join(missing)}")
        if self.run_cap not in (None, (self.controller.rounds or 0) * (self.controller.per_round or 0)):
            raise ValueError("run_cap is rounds times per_round with method bayes, and may be left out")
        if self.controller.base:
            raise ValueError("method bayes starts from the file in command, not from runs of another grid")
        if self.early_terminate:
            raise ValueError(
                "early_terminate does not go with method bayes: the score of a pruned trial does not compare with "
                "those of trials trained to their end, and suggestions that mix them would follow the number of epochs"
            )
        return self

    @model_validator(mode="after")
    def _trials_are_compared_by_what_epochs_measure(self) -> Self:
        part = self.metric.name.partition("/")[0]
        if self.early_terminate and part not in ("train", "validation"):
            raise ValueError(
                f"early_terminate compares trials after some epochs, which {self.metric.name} is not measured after; "
                "take a metric of validation/"
            )
        return self

    @model_validator(mode="after")
    def _grid_has_lists_only(self) -> Self:
        drawn = {name: one for name, one in self._flat().items() if isinstance(one, Distribution)}
        if self.method == "grid" and (endless := [name for name, one in drawn.items() if one.listed() is None]):
            raise ValueError(
                f"method grid cannot run through {drawn[endless[0]].name} of {', '.join(endless)}: as with W&B it "
                "takes value, values without probabilities and int_uniform"
            )
        return self

    @property
    def base_file(self) -> Path:
        """The file of the base run."""
        return Path(self.command[-2])

    def space(self) -> dict[str, Values]:
        """The values that each parameter may take, by dotted name, in the order of the names."""
        flat = sorted(self._flat().items())
        if self.method != "grid":
            return dict(flat)
        return {name: (values.listed() or []) if isinstance(values, Distribution) else values for name, values in flat}

    def _flat(self) -> dict[str, Values]:
        flat = (parameter.flatten(name) for name, parameter in self.parameters.items())
        return {name: values for one in flat for name, values in one.items()}


def read_sweep(path: Path) -> SweepFile:
    """Read a grid file.

    Raises:
        ConfigError: no such file, not YAML, outside of the schema, or W&B would read it differently; all mistakes in
            one message.
    """
    values = read_yaml(path)
    try:
        sweep = SweepFile.model_validate(values)
    except ValidationError as error:
        raise ConfigError(explain(error, SweepFile, str(path))) from None
    if sweep.name != path.stem:
        raise ConfigError(f"{path}: has the name {sweep.name!r}; a grid is named like its file, {path.stem!r}")
    _refuse_two_meanings(path, values)
    return sweep


def _refuse_two_meanings(path: Path, values: dict[str, Any]) -> None:
    """Refuse what W&B reads differently: it reads YAML 1.1, in which `1e-4` is text and `off` is false."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", MantissaNoDotYAML1_1Warning)
        try:
            theirs = parse_yaml(shipped_file(path).read_text(encoding="utf-8"), str(path), version=(1, 1))
        except MantissaNoDotYAML1_1Warning as warning:
            (number,) = re.findall(r'Correct your float: "(.*?)"', str(warning))
            raise ConfigError(f"{path}: W&B reads {number} as text; write it as 0.0001 or 1.0e-4") from None
    if different := _differences(values, theirs):
        lines = (f"{name}: is {ours!r} here and {other!r} to W&B" for name, ours, other in different)
        raise ConfigError("\n".join(f"{line} ({path}); put text in quotes, write numbers in full" for line in lines))


def _differences(ours: Any, theirs: Any, name: str = "") -> list[tuple[str, Any, Any]]:
    if isinstance(ours, dict) and isinstance(theirs, dict) and ours.keys() == theirs.keys():
        pairs = [(f"{name}.{key}".lstrip("."), ours[key], theirs[key]) for key in ours]
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = [(name, *pair) for pair in zip(ours, theirs, strict=True)]
    else:
        return [] if (type(ours), ours) == (type(theirs), theirs) else [(name, ours, theirs)]
    return [found for key, mine, other in pairs for found in _differences(mine, other, key)]
