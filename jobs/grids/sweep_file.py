"""Grid files: W&B sweep files, which `wandb sweep` accepts as they are. All mistakes are reported at once."""

import hashlib
import itertools
import json
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator
from ruamel.yaml.error import MantissaNoDotYAML1_1Warning

from sentiment.config import PARTS, Section
from sentiment.config_file import dotted, explain, parse_yaml, read_yaml, shortened
from sentiment.errors import ConfigError
from sentiment.files import shipped_file
from sentiment.runs.records import Halving, Metrics, Part
from sentiment.runs.run_dir import SINGLE

MOST_RUNS = 50_000
_SCORES = ("loss", "accuracy", "precision", "recall", "f1")
_MACROS = ("${args_no_hyphens}", "${args}")
_COMMAND = "[${env}, sentiment, train, configs/runs/rnn.yaml, ${args_no_hyphens}]"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")

Scalar = str | int | float | bool | None
Number = Annotated[int | float, Field(ge=-1e15, le=1e15)]

# What each distribution needs, with the defaults of W&B's schema.
KEYS: Mapping[str, Mapping[str, float | None]] = {
    "int_uniform": {"min": None, "max": None},
    "uniform": {"min": None, "max": None},
    "log_uniform_values": {"min": None, "max": None},
    "normal": {"mu": 0, "sigma": 1},
}
_NUMBERS = ("min", "max", "mu", "sigma")


@dataclass(frozen=True)
class Distribution:
    """A distribution of numbers (all of `KEYS[name]`), or of values with unequal probabilities."""

    name: str
    numbers: Mapping[str, float]
    values: tuple[Scalar, ...] = ()
    probabilities: tuple[float, ...] = ()

    def quantile(self, share: float) -> Scalar:
        """The value below which this share of all draws lies; numbers have six digits."""
        of = self.numbers
        if self.values:
            sums = itertools.accumulate(self.probabilities)
            possible = [pair for pair in zip(self.values, sums, self.probabilities, strict=True) if pair[2]]
            return next((value for value, below, _ in possible if share < below), possible[-1][0])
        if self.name == "normal":
            return _rounded(NormalDist(of["mu"], of["sigma"]).inv_cdf(share))
        if self.name == "int_uniform":
            return int(of["min"]) + int(share * (of["max"] - of["min"] + 1))
        if self.name == "log_uniform_values":
            value = of["min"] * (of["max"] / of["min"]) ** share
        else:
            value = of["min"] + share * (of["max"] - of["min"])
        return min(max(_rounded(value), of["min"]), of["max"])  # rounding must not lead out of the range

    def share(self, value: float) -> float:
        """The share of all draws that lie below a number: the inverse of `quantile`."""
        of = self.numbers
        if self.name == "normal":
            return NormalDist(of["mu"], of["sigma"]).cdf(value)
        if self.name == "int_uniform":
            return (value - of["min"] + 0.5) / (of["max"] - of["min"] + 1)
        if self.name == "log_uniform_values":
            return math.log(value / of["min"]) / math.log(of["max"] / of["min"])
        return (value - of["min"]) / (of["max"] - of["min"])

    def as_parameter(self) -> dict[str, Any]:
        if self.values:
            return {"values": list(self.values), "probabilities": list(self.probabilities)}
        return {"distribution": self.name, **self.numbers}

    def __str__(self) -> str:
        if self.values:
            pairs = zip(self.values, self.probabilities, strict=True)
            return ", ".join(f"{value!r} with probability {share:g}" for value, share in pairs)
        return " ".join([self.name, *(f"{name}={number}" for name, number in self.numbers.items())])


Choices = Sequence[Any] | Distribution
"""The values that a parameter may take."""


def draw(choices: Choices, seed: int, parameter: str, index: int) -> Any:
    """The value of a parameter in the trial of this index; it depends on nothing but these."""
    digest = hashlib.sha256(f"{seed}\0{parameter}\0{index}".encode()).digest()
    share = (int.from_bytes(digest[:6], "big") + 0.5) / 2**48  # 0 and 1 are excluded
    return choices.quantile(share) if isinstance(choices, Distribution) else choices[int(share * len(choices))]


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")


class Parameter(Section):
    """The values that a field of a run may take, or the fields of a section; keys as in W&B's schema.

    Attributes:
        probabilities: of the `values`; None draws all alike.
        distribution: None is W&B's choice: with `min` and `max` int_uniform if both are whole numbers, else uniform.
        mu, sigma: mean and standard deviation.
        parameters: fields of a section, by name.
    """

    value: Scalar = None
    values: Annotated[list[Scalar], Field(min_length=1)] | None = None
    probabilities: list[Annotated[float, Field(ge=0, strict=False)]] | None = None
    distribution: str | None = None
    min: Number | None = None
    max: Number | None = None
    mu: Number | None = None
    sigma: Annotated[Number, Field(gt=0)] | None = None
    parameters: "dict[str, Parameter] | None" = None

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if self.distribution not in (None, *KEYS):
            raise ValueError(f"distribution {self.distribution!r} is unknown; valid: {', '.join(KEYS)}, or none")
        listed, drawn = {*self.model_fields_set} & {"value", "values", "parameters"}, self._drawn
        if len(listed) + (drawn is not None) != 1 or (listed and self._numbers):
            raise ValueError("needs exactly one of value, values, a distribution (or min and max), and parameters")
        if drawn is not None:
            _check(drawn, self._numbers)
        if self.probabilities is not None:
            if len(self.probabilities) != len(self.values or ()):
                raise ValueError(f"{len(self.probabilities)} probabilities of {len(self.values or ())} values")
            if not math.isclose(sum(self.probabilities), 1, abs_tol=1e-6):
                raise ValueError(f"the probabilities add up to {sum(self.probabilities):g} instead of 1")
        return self

    def flatten(self, name: str) -> dict[str, Choices]:
        if self.parameters is not None:
            inner = (parameter.flatten(f"{name}.{key}") for key, parameter in self.parameters.items())
            return {key: values for section in inner for key, values in section.items()}
        if self.values is not None and self.probabilities is not None:
            return {name: Distribution("categorical", {}, tuple(self.values), tuple(self.probabilities))}
        if drawn := self._drawn:
            defaults = {key: default for key, default in KEYS[drawn].items() if default is not None}
            return {name: Distribution(drawn, defaults | self._numbers)}
        values = [self.value] if self.values is None else self.values
        return {name: list({json.dumps(value): value for value in values}.values())}

    @property
    def _numbers(self) -> dict[str, float]:
        found = {name: getattr(self, name) for name in _NUMBERS}
        return {name: number for name, number in found.items() if number is not None}

    @property
    def _drawn(self) -> str | None:
        if self.distribution is not None or not {"min", "max"} & self._numbers.keys():
            return self.distribution
        return "int_uniform" if isinstance(self.min, int) and isinstance(self.max, int) else "uniform"


def _check(name: str, numbers: Mapping[str, float]) -> None:
    """Refuse numbers that make no such distribution."""
    if unknown := [key for key in numbers if key not in KEYS[name]]:
        raise ValueError(f"distribution {name} has no {', '.join(unknown)}; it takes {', '.join(KEYS[name])}")
    if missing := [key for key, default in KEYS[name].items() if default is None and key not in numbers]:
        raise ValueError(f"distribution {name} needs {' and '.join(missing)}")
    if "min" in numbers and numbers["min"] >= numbers["max"]:
        raise ValueError(f"min {numbers['min']} is not below max {numbers['max']}")
    if name == "int_uniform" and not all(isinstance(number, int) for number in numbers.values()):
        raise ValueError("distribution int_uniform takes whole numbers as min and max")
    if name == "log_uniform_values" and numbers["min"] <= 0:
        raise ValueError(f"distribution {name} takes positive numbers, not min {numbers['min']}")


Epochs = Annotated[int, Field(ge=1, le=1_000_000)]
_Runs = Annotated[int, Field(ge=1, le=MOST_RUNS)]


class EarlyTerminate(Section):
    """Trials are compared after some epochs (bands), and only the best `1/eta` of them go on.

    As with W&B a trial's iterations are the rows that it logs of the metric: its epochs. `min_iter` begins the bands,
    each `eta` times the one before. W&B's other way to name bands, `max_iter` and `s`, is refused.
    """

    type: Literal["hyperband"]
    min_iter: Epochs
    eta: Annotated[float, Field(ge=1.1)] = 3.0
    strict: bool = True
    """Whether a trial counts by its score at the band, or by its best so far. The default is that of W&B's schema."""

    def halving(self, epochs: int) -> Halving:
        """The rungs of a search whose longest trial has so many epochs; a ConfigError if no band lies before that."""
        bands, band = list[int](), float(self.min_iter)
        while int(band) < epochs:
            bands.append(int(band))
            band *= self.eta
        if not bands:
            raise ConfigError(f"early_terminate: no band lies below the {epochs} epochs of the runs")
        return Halving(epochs=sorted({*bands}), eta=self.eta, strict=self.strict)


class Metric(Section):
    """The score that the best run is chosen by."""

    name: str
    goal: Literal["maximize", "minimize"]

    @model_validator(mode="after")
    def _is_measured(self) -> Self:
        part, _, score = self.name.partition("/")
        if part not in PARTS or score not in _SCORES:
            raise ValueError(f"{self.name!r} is not measured; valid: validation/ and one of {', '.join(_SCORES)}")
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
    """Which runs of a finished grid take the place of the base run.

    Attributes:
        runs: `overfitting`: each run that overfits by the rule in its result. `best`: the best `count` of those
            configurations that do not overfit with any seed, by the mean over their seeds.
    """

    grid: str
    runs: Literal["overfitting", "best"]
    count: _Runs = 1

    @model_validator(mode="after")
    def _count_is_of_the_best(self) -> Self:
        if self.runs == "overfitting" and self.count != 1:
            raise ValueError("count goes with runs 'best'; of those that overfit all are taken")
        return self


class Controller(Section):
    """How trials are drawn; the one section in which W&B's own schema leaves room for more keys.

    Attributes:
        type: for W&B.
        seed: of the draw, with method `random`, and of the suggestions, with `bayes`.
        rounds, per_round: with method `bayes`: how many rounds, and how many trials each has at the same time.
        base: None lets all runs start from the file that `command` names, and from each of `files`.
        files: of further runs, each with sections of its own: what cannot be said by the values of one field each.
    """

    type: Literal["cloud"] = "cloud"
    seed: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    rounds: _Runs | None = None
    per_round: _Runs | None = None
    base: BaseRuns | None = None
    files: Annotated[tuple[str, ...], Field(strict=False)] = ()


class SweepFile(Section):
    """One grid: a question (`description`), and the runs that answer it.

    Attributes:
        project, entity: at W&B; ignored here.
        run_cap: how many trials are drawn, with method `random`.
        early_terminate: None trains all trials to their end.
    """

    name: str
    description: Annotated[str, Field(min_length=1)]
    project: str | None = None
    entity: str | None = None
    method: Literal["grid", "random", "bayes"]
    metric: Metric
    run_cap: _Runs | None = None
    early_terminate: EarlyTerminate | None = None
    controller: Controller = Controller()
    command: list[str]
    parameters: Annotated[dict[str, Parameter], Field(min_length=1)]

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.name == SINGLE or not _NAME.fullmatch(self.name):
            raise ValueError(f"name {self.name!r}: takes letters, digits, _ and -, and is not {SINGLE!r}")
        if len(self.command) < 3 or self.command[-3] != "train" or self.command[-1] not in _MACROS:
            raise ValueError(f"command must end in train, the base run's file and the arguments, as in {_COMMAND}")
        controller = self.controller
        given = {
            "run_cap": self.run_cap,
            "controller.seed": controller.seed,
            "controller.rounds": controller.rounds,
            "controller.per_round": controller.per_round,
        }
        needed = {
            "grid": [],
            "random": ["run_cap", "controller.seed"],
            "bayes": ["controller.rounds", "controller.per_round", "controller.seed"],
        }[self.method]
        if missing := [name for name in needed if given[name] is None]:
            raise ValueError(f"method {self.method} needs {' and '.join(missing)}")
        if more := [name for name, value in given.items() if value is not None and name not in needed]:
            raise ValueError(f"{' and '.join(more)}: not with method {self.method}")
        return self

    @model_validator(mode="after")
    def _early_end_can_be_decided(self) -> Self:
        controller = self.controller
        if self.method == "bayes" and (controller.base or controller.files or self.early_terminate):
            raise ValueError(
                "method bayes goes neither with early_terminate, since scores after different epochs do not compare, "
                "nor with controller.base or controller.files"
            )
        if controller.base and controller.files:
            raise ValueError("controller.base and controller.files are both set; runs start from one of them")
        part = self.metric.name.partition("/")[0]
        if self.early_terminate and part not in ("train", "validation"):
            raise ValueError(
                f"early_terminate compares trials after some epochs, which {self.metric.name} is not measured after; "
                "take a metric of validation/"
            )
        return self

    @model_validator(mode="after")
    def _grid_has_lists_only(self) -> Self:
        for name, choices in self.space().items():
            if self.method == "grid" and isinstance(choices, Distribution):
                raise ValueError(
                    f"method grid cannot run through {choices.name} of {name}: as with W&B it takes value, values "
                    "without probabilities and int_uniform"
                )
        return self

    @property
    def base_file(self) -> Path:
        return Path(self.command[-2])

    def space(self) -> dict[str, Choices]:
        sections = (parameter.flatten(name) for name, parameter in self.parameters.items())
        flat = {name: choices for section in sections for name, choices in section.items()}
        for name, choices in flat.items():
            if self.method == "grid" and isinstance(choices, Distribution) and choices.name == "int_uniform":
                flat[name] = range(int(choices.numbers["min"]), int(choices.numbers["max"]) + 1)
        return dict(sorted(flat.items()))


def read_sweep(path: Path) -> SweepFile:
    """Read a grid file; a ConfigError has all mistakes, and what W&B would read differently."""
    values = read_yaml(path)
    if not values.keys() & {"method", "parameters", "command"}:
        found = shortened(", ".join(map(str, values))) or "nothing"
        raise ConfigError(
            f"{path}: is no grid, which has name, description, method, metric, command and parameters; found {found}; "
            f"`sentiment train {path}` trains the file of a run"
        )
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
    ours, theirs = dotted(values), dotted(theirs)
    lines = [
        f"{name}: is {ours[name]!r} here and {theirs.get(name)!r} to W&B ({path}); quote text, write numbers in full"
        for name in ours
        if repr(ours[name]) != repr(theirs.get(name))
    ]
    if lines:
        raise ConfigError("\n".join(lines))
