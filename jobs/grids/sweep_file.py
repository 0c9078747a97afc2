"""Grid files: W&B sweep files, which `wandb sweep` accepts as they are. All mistakes are reported at once."""

import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator
from ruamel.yaml.error import MantissaNoDotYAML1_1Warning

from jobs.grids.space import Choices, Distribution, Parameter
from sentiment.config import Section
from sentiment.config_file import explain, parse_yaml, read_yaml
from sentiment.errors import ConfigError
from sentiment.install_paths import shipped_file
from sentiment.runs.records import PARTS, Halving, Metrics, Part
from sentiment.runs.run_dir import SINGLE

MOST_RUNS = 50_000
_SCORES = ("loss", "accuracy", "precision", "recall", "f1")
_MACROS = ("${args_no_hyphens}", "${args}")
_COMMAND = "[${env}, python, -m, sentiment, train, configs/runs/rnn.yaml, ${args_no_hyphens}]"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")

Epochs = Annotated[int, Field(ge=1, le=1_000_000)]
_Runs = Annotated[int, Field(ge=1, le=MOST_RUNS)]


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
        bands = {band for band in self._bands(epochs) if band < epochs}
        if not bands:
            raise ConfigError(f"early_terminate: no band lies below the {epochs} epochs of the runs")
        return Halving(epochs=sorted(bands), eta=self.eta, strict=self.strict)

    def _bands(self, epochs: int) -> Iterator[int]:
        if self.min_iter is not None:
            band = float(self.min_iter)
            while int(band) < epochs:
                yield int(band)
                band *= self.eta
            return
        band = float(self.max_iter or 0)
        for _ in range(self.s or 0):
            band /= self.eta
            if band < 1:
                break
            yield int(band)


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
        base: None lets all runs start from the file that `command` names.
    """

    type: Literal["cloud"] = "cloud"
    seed: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    rounds: _Runs | None = None
    per_round: _Runs | None = None
    base: BaseRuns | None = None


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
        if self.method == "bayes" and (self.controller.base or self.early_terminate):
            raise ValueError(
                "method bayes goes neither with early_terminate, since scores after different epochs do not compare, "
                "nor with controller.base"
            )
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
        """The file of the base run."""
        return Path(self.command[-2])

    def space(self) -> dict[str, Choices]:
        """The values that each parameter may take, by dotted name, in the order of the names."""
        sections = (parameter.flatten(name) for name, parameter in self.parameters.items())
        flat = {name: choices for section in sections for name, choices in section.items()}
        for name, choices in flat.items():
            if self.method == "grid" and isinstance(choices, Distribution) and choices.name == "int_uniform":
                flat[name] = range(int(choices.numbers["min"]), int(choices.numbers["max"]) + 1)
        return dict(sorted(flat.items()))


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
