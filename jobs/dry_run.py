"""What a submission would do and cost, without doing it."""

import shlex
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal

from jobs.grids.grid import ExpandedGrid, completed_elsewhere
from jobs.grids.requirements import TrainingTweets, missing_for, training_tweets
from jobs.policy import submit
from jobs.slurm.chain import describe
from jobs.slurm.grid_jobs import read_jobs
from jobs.slurm.launcher import plan_jobs
from jobs.slurm.sbatch import directives
from jobs.status.grid_status import RunStatus, describe_held, describe_unknown, read_grid_status
from jobs.wanted import LaterRungs, WantedRun, later_rungs, with_pauses
from sentiment.config import RunConfig
from sentiment.config_file import yaml_text
from sentiment.errors import RunDirError
from sentiment.files import files_in
from sentiment.runs.code_version import running_code
from sentiment.runs.records import PlannedRun, Rounds
from sentiment.runs.run_dir import Results, RunDir
from sentiment.runs.rungs import Rungs, read_rungs

if TYPE_CHECKING:
    from sentiment.elmo.vectors import CacheRequest


@dataclass(frozen=True)
class Completed:
    """What a completed run cost."""

    config: RunConfig
    seconds: float
    """Trained, over all attempts."""
    epochs: int
    bytes: int
    """The size of its directory."""
    device: str
    """`cpu`, or a GPU's name."""
    tweets: int
    """In the training part."""


_ELMO_SIZE = 1024  # numbers of a token's vector in the published models, but for the small one's 256

# Runs on fewer tweets by more than this tell little of a run's time: they mostly begin and end.
_FEWER = 10
_GIGABYTE = 1e9

_MINUTE, _HOUR = 60.0, 3600.0

Basis = Literal["runs of the same size", "runs on the same tweets", "runs on other tweets"]
"""What a run is judged by."""


@dataclass(frozen=True)
class Guess:
    """What one run may cost."""

    basis: Basis
    seconds: float
    least: float
    most: float
    """Seconds as well; they differ from `seconds` where completed runs are not alike."""
    epoch: float
    """Seconds of an epoch."""
    bytes: float
    devices: frozenset[str] = frozenset()
    """The devices of the completed runs."""


@dataclass(frozen=True)
class Costs:
    """What some runs may cost together: those that are judged by completed ones."""

    seconds: float
    least: float
    most: float
    bytes: int
    bases: Counter[Basis]
    """How many runs are judged by what; the others are in no sum."""
    devices: list[str]
    """The devices of the completed runs."""


def estimate(configs: Sequence[RunConfig], completed: Iterable[Completed], tweets: TrainingTweets) -> Costs:
    """Sum up what `guesses` finds."""
    found = [guess for guess in guesses(configs, completed, tweets) if guess]
    return Costs(
        seconds=sum(guess.seconds for guess in found),
        least=sum(guess.least for guess in found),
        most=sum(guess.most for guess in found),
        bytes=round(sum(guess.bytes for guess in found)),
        bases=Counter(guess.basis for guess in found),
        devices=sorted(frozenset[str]().union(*(guess.devices for guess in found))),
    )


def guesses(configs: Sequence[RunConfig], completed: Iterable[Completed], tweets: TrainingTweets) -> list[Guess | None]:
    """Judge each run by the first of these that there is; None where there is none.

    Completed runs of its size on its tweets: their mean. Others on its tweets: as long as they took, or in proportion
    to the work of a step, since small nets wait for the GPU and large ones compute. Runs on other tweets, of its size
    if there are any, but not on far fewer: in proportion to the number of training tweets; for as many epochs, or for
    all it may take. Where there are completed runs on a GPU, only these count.
    """
    known = list(completed)
    known = [run for run in known if run.device != "cpu"] or known
    same_size, same_tweets = _grouped(known, lambda one: (_tweets(one), _size(one))), _grouped(known, _tweets)
    size, elmo = _grouped(known, lambda one: (_elmo(one), _size(one))), _grouped(known, _elmo)
    found: list[Guess | None] = []
    for config in configs:
        if group := same_size.get((_tweets(config), _size(config))):
            found.append(_by_runs(config, group, "runs of the same size"))
        elif group := same_tweets.get(_tweets(config)):
            found.append(_by_runs(config, group, "runs on the same tweets"))
        elif (number := tweets(config)) is None:
            found.append(None)
        else:
            group = _on_enough_tweets(number, size.get((_elmo(config), _size(config))), elmo.get(_elmo(config)))
            found.append(_by_runs(config, group, "runs on other tweets", number) if group else None)
    return found


def epoch_cost(
    configs: Sequence[RunConfig], completed: Iterable[Completed], tweets: TrainingTweets
) -> tuple[float, str] | None:
    """Mean seconds of an epoch of these runs, and of what: "" of a machine, or "GPU-".

    None if nothing is known of one of them.
    """
    found = guesses(configs, completed, tweets)
    whole = [guess for guess in found if guess]
    if not whole or len(whole) < len(found):
        return None
    on_cpu = any("cpu" in guess.devices for guess in whole)
    return fmean(guess.epoch for guess in whole), "" if on_cpu else "GPU-"


def told_time(seconds: float, kind: str) -> str:
    """In hours, minutes or seconds, of `kind`, such as "GPU-"."""
    if seconds >= _HOUR:
        return f"{seconds / _HOUR:,.1f} {kind}hours"
    return f"{seconds / _MINUTE:.1f} {kind}minutes" if seconds >= _MINUTE else f"{seconds:.0f} {kind}seconds"


def _on_enough_tweets(tweets: int, *groups: Sequence[Completed] | None) -> list[Completed]:
    """Of the first group that has any: runs whose time tells something of this number of training tweets."""
    found = ([run for run in group or [] if run.tweets * _FEWER >= tweets] for group in groups)
    return next(filter(None, found), [])


def _by_runs(config: RunConfig, group: Sequence[Completed], basis: Basis, tweets: int | None = None) -> Guess:
    """By completed runs, in proportion to the number of training tweets if that is given."""
    least, most = [], []
    shares = [tweets / run.tweets if tweets else 1.0 for run in group]
    for run, share in zip(group, shares, strict=True):
        ratio = 1.0 if basis == "runs of the same size" else _work(config) / _work(run.config)
        longer = max(config.training.epochs / run.epochs, 1) if tweets else 1.0
        least.append(run.seconds * share * min(ratio, 1))
        most.append(run.seconds * share * max(ratio, 1) * longer)
    paired = list(zip(group, shares, strict=True))
    return Guess(
        basis,
        seconds=fmean(run.seconds * share for run, share in paired),
        least=fmean(least),
        most=fmean(most),
        epoch=fmean(run.seconds / run.epochs * share for run, share in paired),
        bytes=fmean(run.bytes for run in group),
        devices=frozenset(run.device for run in group),
    )


def read_completed(results: Results) -> Iterator[Completed]:
    """All completed runs of all grids; runs that cannot be read are left out."""
    for file in results.runs.glob("*/*/result.json"):
        run_dir = RunDir(file.parent)
        try:
            config, record, result = run_dir.read_config(), run_dir.read_record(), run_dir.read_result()
        except RunDirError:
            continue
        if record and result and record.attempts:
            size = sum(size for _, size in files_in(run_dir.path))
            device, tweets = record.attempts[-1].device, result.metrics["train"].n
            yield Completed(config, result.seconds_trained, result.epochs, size, device, tweets)


def _grouped(runs: Iterable[Completed], key: Callable[[RunConfig], Any]) -> dict[Any, list[Completed]]:
    groups = defaultdict(list)
    for run in runs:
        groups[key(run.config)].append(run)
    return dict(groups)


def _tweets(config: RunConfig) -> tuple[Any, ...]:
    return config.data.source, config.data.max_rows, _elmo(config)


def _elmo(config: RunConfig) -> str | None:
    return config.elmo.model if config.elmo else None


def _size(config: RunConfig) -> tuple[Any, ...]:
    model = config.model
    size = model.kind, model.cell, model.hidden_size, model.layers, model.bidirectional, model.pooling
    return *size, config.training.batch_size


def _work(config: RunConfig) -> int:
    """Multiplications of the network for each token, about."""
    model, inputs = config.model, _ELMO_SIZE if config.elmo else config.embedding.size
    if model.kind == "feed_forward":
        return inputs * model.hidden_size + (model.layers - 1) * model.hidden_size**2
    directions, gates = 2 if model.bidirectional else 1, 4 if model.cell == "lstm" else 3
    sizes = [inputs, *[directions * model.hidden_size] * (model.layers - 1)]
    return sum(directions * gates * model.hidden_size * (size + model.hidden_size) for size in sizes)


def show_vectors(grid: ExpandedGrid, configs: Sequence[RunConfig], results: Results) -> Iterator[str]:
    """Lines to print, none for runs without cached vectors; no tweets are prepared, and no vectors computed.

    Raises:
        DataError: the tweets cannot be read.
        ElmoError: a model, or the folder of a cache, is damaged.
    """
    readers = [config for config in configs if config.elmo and config.elmo.cached]
    if not readers:
        return
    from sentiment.data.corpus.corpus import find_corpus
    from sentiment.elmo.models import has_pretrained
    from sentiment.elmo.vectors import cache_requests

    untrained = [config for config in readers if not has_pretrained(config, results)]
    if untrained:
        names = ", ".join(sorted({config.elmo.model for config in untrained if config.elmo}))
        yield f"ELMo's vectors by {names} come on top; how many bytes is known once that is trained"
    readers = [config for config in readers if config not in untrained]
    found = {data: find_corpus(data, results) for data in dict.fromkeys(config.data for config in readers)}
    corpora = {data: corpus for data, corpus in found.items() if corpus}
    requests = cache_requests([one for one in readers if one.data in corpora], results, corpora.__getitem__)
    yield from _show_known(requests)
    for config in {one.data: one for one in readers if one.data not in corpora}.values():
        command = _command(grid, config, "data", "--config", sections=("data.",))
        yield f"ELMo's vectors come on top, once for all runs; how many bytes is known after `{command}`"


def _show_known(requests: Sequence["CacheRequest"]) -> Iterator[str]:
    """The sum, and a line for each cache."""
    sizes = [(one.cache.size(one.layers), one.cache.size(one.layers, missing=True)) for one in requests]
    if sizes:
        yield f"ELMo's vectors come on top, once for all runs: {_parts(*map(sum, zip(*sizes, strict=True)))}"
    for request, (size, missing) in zip(requests, sizes, strict=True):
        plan = request.cache.plan
        tweets = f"{', '.join(request.layers)} of {plan.tokens:,} tokens in {len(plan.offsets) - 1:,} distinct tweets"
        model = request.config.elmo.model if request.config.elmo else ""
        yield f"  {model}: {_parts(size, missing)} ({tweets})"


def _parts(size: int, missing: int) -> str:
    there = size - missing
    return f"{missing / _GIGABYTE:.3g} GB" + (f", and {there / _GIGABYTE:.3g} GB are there" if there else "")


def _command(grid: ExpandedGrid, config: RunConfig, *words: str, sections: tuple[str, ...]) -> str:
    """A command that prepares something for one of the grid's runs; only the sections named matter to it."""
    run = grid.plan.runs[grid.configs.index(config)]
    return shlex.join(["python", "-m", "sentiment", *words, grid.plan.base, *run.overrides(*sections)])


_UNKNOWN = "; how many hours is unknown, since no run like these is completed here"

Epoch = tuple[float, str]
"""What an epoch costs; see `epoch_cost`."""


@dataclass(frozen=True)
class RungBudget:
    """What one rung takes at most: trials that end by themselves take less."""

    rung: int
    trials: int
    to_epoch: int
    epochs: int
    """Of all its trials together, without those of earlier rungs."""


def rung_budgets(rungs: Rungs, configs: Sequence[RunConfig]) -> list[RungBudget]:
    """The budget of each rung, those that are decided included.

    Args:
        configs: of all trials.
    """
    longest = max(config.training.epochs for config in configs)
    found, before = [], 0
    for rung in range(rungs.last + 1):
        to_epoch = rungs.epochs(rung) or longest
        found.append(RungBudget(rung, rungs.size(rung), to_epoch, rungs.size(rung) * (to_epoch - before)))
        before = to_epoch
    return found


def show_search(results: Results, grid: ExpandedGrid) -> Iterator[str]:
    """Lines to print; none for a grid whose runs are all trained to their end.

    Raises:
        RunDirError: a ranking cannot be read.
    """
    if not grid.plan.halving and not grid.plan.rounds:
        return
    epoch = epoch_cost(grid.configs, read_completed(results), training_tweets(results))
    if rungs := read_rungs(results, grid.plan):
        yield from _show_rungs(rungs, grid.configs, epoch)
    if rounds := grid.plan.rounds:
        yield from _show_rounds(rounds, grid.configs, epoch)


def _show_rounds(rounds: Rounds, configs: Sequence[RunConfig], epoch: Epoch | None) -> Iterator[str]:
    planned, trials = len(configs), rounds.rounds * rounds.per_round
    epochs = sum(config.training.epochs for config in configs) * trials // planned
    yield (
        f"rounds: {-(-planned // rounds.per_round)} of {rounds.rounds} planned, each suggested when the one before has "
        f"ended; together up to {trials:,} trials, {epochs:,} epochs{_hours(epochs, epoch) or _UNKNOWN}"
    )


def _show_rungs(rungs: Rungs, configs: Sequence[RunConfig], epoch: Epoch | None) -> Iterator[str]:
    budgets = rung_budgets(rungs, configs)
    for one in budgets:
        decided = ", decided" if one.rung < rungs.current else ""
        yield (
            f"rung {one.rung}: {one.trials:,} trials to epoch {one.to_epoch}, {one.epochs:,} epochs"
            f"{_hours(one.epochs, epoch)}{decided}"
        )
    spent, full = sum(one.epochs for one in budgets), sum(config.training.epochs for config in configs)
    yield (
        f"together {spent:,} of the {full:,} epochs that all trials would take to their end ({spent / full:.0%})"
        f"{_hours(spent, epoch) or _UNKNOWN}"
    )


def _hours(epochs: int, epoch: Epoch | None) -> str:
    if epoch is None:
        return ""
    seconds, kind = epoch
    return f", about {told_time(epochs * seconds, kind)}"


_WORTH_A_RANGE = 1.1
_MEASURED: Sequence[Basis] = ("runs of the same size", "runs on the same tweets", "runs on other tweets")
_RANGES: dict[Basis, str] = {
    "runs on the same tweets": "the range: sizes not trained here take as long as the others, or in proportion to "
    "their work",
    "runs on other tweets": "the range: in proportion to the number of training tweets, for as many epochs or for all",
}


def show_plan(results: Results, grid: ExpandedGrid, cluster: Path) -> Iterator[str]:
    """Lines to print. Nothing is written but the checksum of a table of tweets; no Slurm and no tweets are needed.

    Raises:
        ConfigError: the cluster's file is wrong.
        SentimentError: tweets or ELMo's vectors that are here are damaged.
    """
    (jobs,) = read_jobs(results, [grid.plan.name])
    rows = read_grid_status(results, grid.plan, jobs).rows
    elsewhere = completed_elsewhere(results, grid)
    missing, later = _wanted(results, grid, rows, elsewhere)
    yield f"grid {grid.plan.name}: {grid.plan.description}"
    yield from _show_runs(grid, rows)
    if elsewhere:
        yield f"{len(elsewhere)} of {len(rows)} runs are completed in other grids and would be taken over"
    yield from describe_held(grid.plan.name, rows)
    yield from describe_unknown(rows)
    yield f"{len(missing)} of {len(rows)} runs would be submitted"
    yield from show_search(results, grid)
    if missing:
        configs = [run.config for run in missing]
        if not grid.plan.halving:
            yield from _show_costs(configs, results)
        lacking = missing_for(grid.configs, results)
        if lacking:
            yield "not here yet, so that `submit` would refuse, and their size and preparation are not counted:"
            yield from (f"  {line}" for line in lacking)
        else:
            yield from show_vectors(grid, configs, results)
        planned = plan_jobs(missing, results, cluster, grid.plan.name, jobs, later)
        for job in planned:
            name = job.kind if job.rung is None else f"{job.kind} of rung {job.rung}"
            yield f"\n{name}: {len(job.tasks)} task{'s' if len(job.tasks) > 1 else ''}, {job.resources.describe()}"
            yield from (f"  {line}" for line in directives(describe(results, grid.plan.name, job, None)))


def _wanted(
    results: Results, grid: ExpandedGrid, rows: Sequence[RunStatus], elsewhere: Container[str]
) -> tuple[list[WantedRun], LaterRungs | None]:
    """The runs that would be submitted, and what follows them.

    Args:
        elsewhere: ids of runs that would be taken over from other grids.
    """
    every = [WantedRun(row, config, running_code().id) for row, config in _paired(grid, rows)]
    missing = [run for run in every if submit(run.row) == "submits" and run.row.run_id not in elsewhere]
    rungs = read_rungs(results, grid.plan)
    if rungs is None:
        return missing, None
    missing = with_pauses([run for run in missing if not rungs.is_decided(run.row.run_id)], rungs)
    return missing, later_rungs(rungs, every)


def _paired(grid: ExpandedGrid, rows: Sequence[RunStatus]) -> Iterator[tuple[RunStatus, RunConfig]]:
    by_id = {row.run_id: row for row in rows}
    return ((by_id[run.run_id], config) for run, config in zip(grid.plan.runs, grid.configs, strict=True))


def _show_runs(grid: ExpandedGrid, rows: Sequence[RunStatus]) -> Iterator[str]:
    """What all runs have in common, a line for each with what it differs in, and how the first is run by itself."""
    runs = grid.plan.runs
    names = list(dict.fromkeys(name for run in runs for name in run.parameters))
    values = {name: [_text(run, name) for run in runs] for name in names}
    common = [name for name in names if len(set(values[name])) == 1 and len(runs) > 1]
    different = [name for name in names if name not in common]
    shared = "".join(f", {name}={values[name][0]}" for name in common)
    yield f"all runs: {grid.plan.base}{shared}"
    states = {row.run_id: row.state for row in rows}
    table = [["", "run", "state", *different]]
    for position, run in enumerate(runs):
        differences = [values[name][position] for name in different]
        table.append([str(run.index), run.run_id, states[run.run_id], *differences])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
    yield f"the first by itself: {shlex.join(grid.plan.command(runs[0]))}"


def _show_costs(configs: Sequence[RunConfig], results: Results) -> Iterator[str]:
    costs = estimate(configs, read_completed(results), training_tweets(results))
    free = f"{shutil.disk_usage(_existing(results.root)).free / _GIGABYTE:,.0f} GB of disk are free"
    if costs.bases:
        kind = "" if "cpu" in costs.devices else "GPU-"
        yield f"costs: about {told_time(costs.seconds, kind)}{_range(costs.least, costs.most, kind)}"
        yield f"  on disk {costs.bytes / _GIGABYTE:.2g} GB; {free}"
        told = [f"{what} for {costs.bases[what]} of {len(configs)} runs" for what in _MEASURED if costs.bases[what]]
        yield f"  by completed runs on {', '.join(costs.devices)}: {', '.join(told)}"
        yield from (f"  {line}" for what, line in _RANGES.items() if costs.bases[what])
    if unknown := len(configs) - costs.bases.total():
        yield f"costs of {unknown} of {len(configs)} runs: unknown, {_why_unknown(configs, results)}; {free}"


def _why_unknown(configs: Sequence[RunConfig], results: Results) -> str:
    tweets = training_tweets(results)
    if any(tweets(config) is None for config in configs):
        return "since the number of their tweets can't be known before they are here and prepared"
    return "since no run like these is completed here"


def _range(least: float, most: float, kind: str) -> str:
    return f" (from {told_time(least, kind)} to {told_time(most, kind)})" if most > least * _WORTH_A_RANGE else ""


def _text(run: PlannedRun, name: str) -> str:
    value = run.parameters.get(name, "-")
    return value if isinstance(value, str) else yaml_text(value)


def _existing(path: Path) -> Path:
    """The folder itself, or the nearest one above that exists."""
    return next(folder for folder in (path.resolve(), *path.resolve().parents) if folder.exists())
