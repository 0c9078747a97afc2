"""Parses grid files, which are W&B sweep files: `wandb sweep` accepts them as they are. It lists all errors."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from sentiment.config import Section
from sentiment.config_file import describe_mistakes, read_yaml
from sentiment.errors import ConfigError, shortened
from sentiment.runs.hypotheses import Hypothesis, Replicated
from sentiment.runs.records import Halving, MetricName, Metrics, Record
from sentiment.runs.run_dir import SINGLE

MOST_RUNS = 50_000
# The fields whose values repeat a configuration on other random numbers or other tweets.
REPETITIONS = ("seed", "data.fold")
_ARGS_PLACEHOLDERS = ("${args_no_hyphens}", "${args}")
_EXAMPLE_COMMAND = "[${env}, sentiment, train, configs/runs/rnn.yaml, ${args_no_hyphens}]"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")

Scalar = str | int | float | bool | None
Number = Annotated[int | float, Field(ge=-1e15, le=1e15)]

DistributionName = Literal["int_uniform", "uniform", "log_uniform_values"]


@dataclass(frozen=True)
class Choices:
    """The values that a parameter may have: listed ones, which are equally likely, or numbers of a distribution.

    Attributes:
        values: none for a distribution of numbers.
        distribution: of numbers from `low` to `high`; None for listed values.
    """

    values: Sequence[Any] = ()
    distribution: DistributionName | None = None
    low: float = 0
    high: float = 1

    def quantile(self, probability: float) -> Any:
        """The inverse of the distribution function; numbers are rounded to six significant digits."""
        if self.distribution is None:
            return self.values[int(probability * len(self.values))]
        if self.distribution == "int_uniform":
            return min(int(self.low) + int(probability * (self.high - self.low + 1)), int(self.high))
        if self.distribution == "log_uniform_values":
            value = self.low * (self.high / self.low) ** probability
        else:
            value = self.low + probability * (self.high - self.low)
        return min(max(float(f"{value:.6g}"), self.low), self.high)  # rounding must not lead out of the range


def draw(choices: Choices, seed: int, parameter: str, index: int) -> Any:
    """Draw the value of a parameter for the trial with this index; it depends on the arguments alone."""
    digest = hashlib.sha256(f"{seed}\0{parameter}\0{index}".encode()).digest()
    probability = (int.from_bytes(digest[:6], "big") + 0.5) / 2**48  # 0 and 1 are excluded
    return choices.quantile(probability)


class Parameter(Section):
    """The values that a field of a run may take; keys as in W&B's schema.

    Attributes:
        distribution: None is W&B's default: with `min` and `max` int_uniform if both are integers, else uniform.
    """

    value: Scalar = None
    values: Annotated[list[Scalar], Field(min_length=1)] | None = None
    distribution: DistributionName | None = None
    min: Number | None = None
    max: Number | None = None

    @model_validator(mode="after")
    def _check_one_kind(self) -> Self:
        listed = self.model_fields_set & {"value", "values"}
        numbers = self.model_fields_set & {"min", "max", "distribution"}
        if len(listed) + bool(numbers) != 1:
            raise ValueError("needs exactly one of value, values, min and max (and distribution)")
        if numbers:
            self._check_range()
        return self

    def _check_range(self) -> None:
        if self.min is None or self.max is None or self.min >= self.max:
            raise ValueError(f"a distribution needs a min below its max; it has min {self.min} and max {self.max}")
        if self.distribution == "int_uniform" and not self._has_whole_limits:
            raise ValueError("distribution int_uniform takes whole numbers as min and max")
        if self.distribution == "log_uniform_values" and self.min <= 0:
            raise ValueError(f"distribution log_uniform_values takes positive numbers, not min {self.min}")

    @property
    def _has_whole_limits(self) -> bool:
        return isinstance(self.min, int) and isinstance(self.max, int)

    @property
    def choices(self) -> Choices:
        """The values, each once."""
        if self.min is not None and self.max is not None:
            distribution = self.distribution or ("int_uniform" if self._has_whole_limits else "uniform")
            return Choices((), distribution, self.min, self.max)
        values = [self.value] if self.values is None else self.values
        return Choices(list({json.dumps(value): value for value in values}.values()))


def listed_values(space: Mapping[str, Choices]) -> dict[str, Sequence[Any]]:
    """The values of each parameter that lists them."""
    return {name: choices.values for name, choices in space.items() if choices.distribution is None}


Epochs = Annotated[int, Field(ge=1, le=1_000_000)]
_Runs = Annotated[int, Field(ge=1, le=MOST_RUNS)]


class EarlyTerminate(Section):
    """Successive halving: at each band, the epoch at which a rung ends, only the best `1/eta` of the trials continue.

    As in W&B an iteration is one logged value of the metric, here one epoch. Bands are at min_iter, min_iter * eta,
    min_iter * eta^2 and so on. W&B's other form, with `max_iter` and `s`, is not supported.
    """

    type: Literal["hyperband"]
    min_iter: Epochs
    eta: Annotated[float, Field(ge=1.1)] = 3.0
    strict: Literal[True] = True
    """As W&B understands it: trials are ranked by their score at the band, not by their best so far."""

    def halving(self, epochs: int) -> Halving:
        """The rungs for trials of up to so many epochs. Raises ConfigError if no band lies below that."""
        bands: list[int] = []
        band = float(self.min_iter)
        while int(band) < epochs:
            bands.append(int(band))
            band *= self.eta
        if not bands:
            raise ConfigError(f"early_terminate: no band lies below the {epochs} epochs of the runs")
        return Halving(epochs=sorted({*bands}), eta=self.eta)


class Metric(Section):
    """The score by which the best run is chosen, on validation tweets: test tweets choose nothing."""

    name: MetricName
    goal: Literal["maximize", "minimize"]

    @model_validator(mode="after")
    def _check_goal(self) -> Self:
        better = "minimize" if self.name == "validation/loss" else "maximize"
        if self.goal != better:
            raise ValueError(f"goal {self.goal!r} would choose the worst {self.name}; {better!r} is meant")
        return self

    def score_from(self, validation: Metrics) -> float:
        """This score of a run on validation tweets, negated for `minimize`, so that higher is always better."""
        score = float(getattr(validation, self.name.removeprefix("validation/")))
        return -score if self.goal == "minimize" else score


class BaseRuns(Section):
    """Selects runs of a finished grid as base configurations.

    Attributes:
        runs: `overfitting`: each run that overfits by the rule in its result. `best`: the best `count` of those
            configurations that do not overfit with any seed, by the mean over their seeds.
    """

    grid: str
    runs: Literal["overfitting", "best"]
    count: _Runs = 1

    @model_validator(mode="after")
    def _check_count(self) -> Self:
        if self.runs == "overfitting" and self.count != 1:
            raise ValueError("count is only allowed with runs: best; of the overfitting ones all are taken")
        return self


class Controller(Section):
    """Options of sampling. They stand in `controller` because W&B's schema allows additional keys only there.

    Attributes:
        type: required by W&B, ignored here.
        seed: of the draws with method `random`.
        base: None applies the parameters to the file that `command` names, and to each of `files`.
        files: further base files, for variants that differ in whole sections.
        hypotheses: what its authors expect, stated before the runs.
        replicates: the study whose findings stand in `published` of the hypotheses.
    """

    type: Literal["cloud"] = "cloud"
    seed: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    base: BaseRuns | None = None
    files: Annotated[tuple[str, ...], Field(strict=False)] = ()
    hypotheses: Annotated[tuple[Hypothesis, ...], Field(strict=False)] = ()
    replicates: Replicated | None = None


# What W&B calls Bayesian optimisation needs a server, and saves fewer epochs than halving does.
_INSTEAD_OF_BAYES = (
    "bayes is not supported, because it suggests one trial after another; two lines search the same space with fewer "
    "epochs: `method: random` and `early_terminate: {type: hyperband, min_iter: 1, eta: 3}`"
)


class SweepFile(Section):
    """One grid: a question (`description`), and the runs that answer it.

    Attributes:
        project, entity: those at W&B; ignored here.
        run_cap: with method `random`: the number of trials.
        early_terminate: None trains all trials to their end.
    """

    name: str
    description: Annotated[str, Field(min_length=1)]
    project: str | None = None
    entity: str | None = None
    method: Literal["grid", "random"]
    metric: Metric
    run_cap: _Runs | None = None
    early_terminate: EarlyTerminate | None = None
    controller: Controller = Controller()
    command: list[str]
    parameters: Annotated[dict[str, Parameter], Field(min_length=1)]

    @model_validator(mode="after")
    def _check_method_fields(self) -> Self:
        if self.name == SINGLE or not _NAME.fullmatch(self.name):
            raise ValueError(f"name {self.name!r}: takes letters, digits, _ and -, and is not {SINGLE!r}")
        if len(self.command) < 3 or self.command[-3] != "train" or self.command[-1] not in _ARGS_PLACEHOLDERS:
            raise ValueError(
                f"command must end in train, the base run's file and the arguments, as in {_EXAMPLE_COMMAND}"
            )
        sampling = {"run_cap": self.run_cap, "controller.seed": self.controller.seed}
        given = [name for name, value in sampling.items() if value is not None]
        if self.method == "random" and len(given) < len(sampling):
            raise ValueError(f"method random needs {' and '.join(sampling)}; the file has {given or 'none'}")
        if self.method == "grid" and given:
            raise ValueError(f"method grid trains all combinations: it takes neither {' nor '.join(sampling)}")
        if self.controller.base and self.controller.files:
            raise ValueError("controller.base and controller.files are both set; runs start from one of them")
        return self

    @field_validator("method", mode="before")
    @classmethod
    def _check_method(cls, method: Any) -> Any:
        if method == "bayes":
            raise ValueError(_INSTEAD_OF_BAYES)
        return method

    @model_validator(mode="after")
    def _check_values(self) -> Self:
        if mistakes := self.mistakes_in(self.space()):
            raise ValueError("; ".join(mistakes))
        return self

    def mistakes_in(self, space: Mapping[str, Choices]) -> list[str]:
        """What the method does not take of the values of parameters, which `--set` may change."""
        mistakes = []
        for name, choices in space.items():
            is_chosen = self.method == "random" or self.early_terminate
            if is_chosen and name in REPETITIONS and len(choices.values) != 1:
                mistakes.append(
                    f"{name}: a search would choose the luckiest one; give a single value here, and repeat the winner "
                    "in a grid of its own (controller.base, runs: best)"
                )
            if self.method == "grid" and choices.distribution:
                mistakes.append(f"{name}: method grid takes value, values or int_uniform")
        return mistakes

    @property
    def base_file(self) -> Path:
        return Path(self.command[-2])

    def space(self) -> dict[str, Choices]:
        flat = {name: parameter.choices for name, parameter in self.parameters.items()}
        for name, choices in flat.items():
            if self.method == "grid" and choices.distribution == "int_uniform":
                flat[name] = Choices(range(int(choices.low), int(choices.high) + 1))
        return dict(sorted(flat.items()))


class GridFile(Record):
    """The content of a grid's file and of the run files that it names: later edits of them change nothing."""

    path: str
    values: dict[str, Any]
    run_files: dict[str, dict[str, Any]]

    @property
    def name(self) -> str:
        """The grid's name, which is that of the file."""
        return Path(self.path).stem

    @cached_property
    def sweep(self) -> SweepFile:
        """The validated grid. Raises ConfigError that lists all errors."""
        try:
            sweep = SweepFile.model_validate(self.values)
        except ValidationError as error:
            raise ConfigError(describe_mistakes(error, SweepFile, self.path)) from None
        if sweep.name != self.name:
            named = f"has the name {sweep.name!r}; a grid is named like its file, {self.name!r}"
            raise ConfigError(f"{self.path}: {named}")
        return sweep


def read_grid_file(path: Path) -> GridFile:
    """Read a grid file and the run files that it names.

    Raises:
        ConfigError: lists all errors.
    """
    values = read_yaml(path)
    if not values.keys() & {"method", "parameters", "command"}:
        keys = shortened(", ".join(map(str, values))) or "nothing"
        raise ConfigError(
            f"{path}: is no grid file, which has name, description, method, metric, command and parameters; it has "
            f"{keys}. If it is the file of a run, use `train`"
        )
    sweep = GridFile(path=str(path), values=values, run_files={}).sweep
    run_files = {str(file): read_yaml(file) for file in (sweep.base_file, *map(Path, sweep.controller.files))}
    return GridFile(path=str(path), values=values, run_files=run_files)
