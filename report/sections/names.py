"""What a reader calls runs, configurations, data sets and the values of a grid's parameters."""

from pathlib import PurePath

from report.analysis.comparison.datasets import Configuration, Dataset
from report.read.load import CompletedRun, Run
from report.render.blocks import Column
from report.render.wording import parameter_value, setting
from sentiment.config import RunConfig
from sentiment.runs.state import TIMEOUT

LEXICON_REMARK = "These tweets were collected and rated by the authors of VADER's lexicon, for it."
RANDOM_MARK = "random numbers"
_SUFFIX = f" [{RANDOM_MARK}]"

_IN_MODEL_NAME = frozenset(
    {"seed", "model.kind", "model.cell", "model.bidirectional", "model.layers", "model.hidden_size", "model.pooling"}
    | {"elmo.model", "elmo.layers", "elmo.combine"}
)


def run_name(run: Run | CompletedRun) -> str:
    """A run's id, with a mark if its scores come from random numbers."""
    completed = run.completed if isinstance(run, Run) else run
    return f"{run.run_id}{_SUFFIX if completed and completed.is_random else ''}"


def state_name(state: str) -> str:
    """The state of a run, which `jobs status` writes in capitals: `cancelled`, `timed out`, `out of memory`."""
    return "timed out" if state == TIMEOUT else state.lower().replace("_", " ")


def grid_column() -> Column:
    """The grid that a run is part of; a single run is part of none."""
    return Column("Grid", "grid", lambda row: row["grid"] or "single run", numeric=False)


def model_name(config: RunConfig) -> str:
    """The architecture in a few words: `BiLSTM 2x64, mean and maximum`; of a combination that of its first member."""
    if config.combination is not None:
        first = model_name(config.model_copy(update={"combination": None}))
        return f"mean of {len(config.combination.members)} runs, the first {first}"
    model = config.model
    pooling = parameter_value("model.pooling", model.pooling)
    if model.kind == "feed_forward":
        name = f"feed-forward net, {pooling}"
    else:
        depth = f"{model.layers}\u00d7" if model.layers > 1 else ""
        name = f"{'Bi' if model.bidirectional else ''}{model.cell.upper()} {depth}{model.hidden_size}, {pooling}"
    if config.elmo is None:
        return name
    beside = "" if config.elmo.combine == "alone" else " and learned vectors"
    return f"ELMo {PurePath(config.elmo.model).name} ({config.elmo.layers}){beside}, {name}"


def configuration_name(one: Configuration) -> str:
    """The architecture, with those of the distinguishing settings that it does not name."""
    return ", ".join([model_name(one.config), *other_settings(one)]) + (_SUFFIX if one.runs[0].is_random else "")


def other_settings(one: Configuration) -> list[str]:
    """Those of the distinguishing settings that the architecture does not name."""
    return [setting(name, value) for name, value in one.distinguishing.items() if name not in _IN_MODEL_NAME]


def configuration_label(run: CompletedRun) -> str:
    """The architecture of one run, with a mark if its scores come from random numbers."""
    return f"{model_name(run.config)}{_SUFFIX if run.is_random else ''}"


def dataset_name(dataset: Dataset) -> str:
    """The source of the tweets, with the limit on their number and the folds in which all of them were tested."""
    limit = f", at most {dataset.max_rows:,} rows" if dataset.max_rows else ""
    return dataset.source + limit + (f" in {dataset.folds} folds" if dataset.folds else "")
