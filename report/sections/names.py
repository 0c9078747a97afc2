"""What configurations, runs and grids are called on the page, and the commands that use them."""

import shlex
from pathlib import PurePath

from markupsafe import Markup

from report.compare.datasets import Configuration
from report.read import CompletedRun, Run
from report.render.blocks import Column
from report.render.wording import parameter_value, setting
from sentiment.config import RunConfig
from sentiment.runs.records import ModelChoice
from sentiment.runs.run_dir import Results
from sentiment.runs.state import TIMEOUT

LEXICON_REMARK = "These tweets were collected and rated by the authors of VADER's lexicon, for it."
RANDOM_MARK = "random numbers"
_SUFFIX = f" [{RANDOM_MARK}]"

_IN_MODEL_NAME = frozenset(
    {"seed", "model.kind", "model.cell", "model.bidirectional", "model.layers", "model.hidden_size", "model.pooling"}
    | {"elmo.model", "elmo.layers", "elmo.combine", "encoder.model", "encoder.use"}
)


def run_name(run: Run) -> str:
    """A run's id, with a mark if its scores come from random numbers."""
    return f"{run.run_id}{_SUFFIX if run.completed and run.completed.is_random else ''}"


def state_name(state: str) -> str:
    """`cancelled`, `timed out`, `out of memory`."""
    return "timed out" if state == TIMEOUT else state.lower().replace("_", " ")


GRID_COLUMN = Column("Grid", "grid", lambda row: row["grid"] or "single run", numeric=False)


def model_name(config: RunConfig) -> str:
    """The architecture in a few words: `BiLSTM 2x64, mean and maximum`."""
    model = config.model
    pooling = parameter_value("model.pooling", model.pooling)
    if model.kind != "rnn":
        name = "feed-forward net" if model.kind == "feed_forward" else "linear layer"
        name += "" if config.reads_tweet_vectors else f", {pooling}"
    else:
        depth = f"{model.layers}\u00d7" if model.layers > 1 else ""
        name = f"{'Bi' if model.bidirectional else ''}{model.cell.upper()} {depth}{model.hidden_size}, {pooling}"
    if config.encoder:
        return f"{PurePath(config.encoder.model).name} ({config.encoder.use}), {name}"
    if config.elmo is None:
        return name
    beside = "" if config.elmo.combine == "alone" else " and learned vectors"
    return f"ELMo {PurePath(config.elmo.model).name} ({config.elmo.layers}){beside}, {name}"


def configuration_name(one: Configuration) -> str:
    """The architecture, with those of the distinguishing settings that it does not name."""
    marks = [_SUFFIX] * one.runs[0].is_random + [f" [calls every tweet {one.only_label}]"] * bool(one.only_label)
    return ", ".join([model_name(one.config), *other_settings(one)]) + "".join(marks)


def other_settings(one: Configuration) -> list[str]:
    """Those of the distinguishing settings that the architecture does not name."""
    return [setting(name, value) for name, value in one.distinguishing.items() if name not in _IN_MODEL_NAME]


# A link to the section that explains intervals and tests, in Markdown.
METHODS = Markup("[How it is computed](#methods).")


def predict_command(run: CompletedRun, results: Results, model: ModelChoice | None = None) -> str:
    """The line that applies a run to a text, by what it recommends or the given model."""
    chosen = ["--with", model] if model and model != run.result.recommended else []
    return command_on(run, results, "predict", "what a lovely day", *chosen)


def command_on(run: CompletedRun, results: Results, command: str, *arguments: str) -> str:
    """The line that uses the model of a run; of several folds the first one's."""
    run_dir = (run.folds[0] if run.folds else run).run_dir.path
    try:
        shown = run_dir.relative_to(results.root.parent)
    except ValueError:
        shown = run_dir
    return shlex.join(["sentiment", command, str(shown), *arguments])
