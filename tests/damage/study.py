"""A small study with each kind of file that the program writes, copied by links for each damage."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from sentiment.files import sha256_of
from sentiment.runs.records import GridPlan, Halving, Result, RunRecord, StartCount
from sentiment.runs.run_dir import Results, RunDir
from tests.encoders.random_elmo import write_random_model
from tests.invented import rungs_of, write_added
from tests.jobs.grid_files import write_base
from tests.jobs.submitted import a_failure, a_plan, write_job
from tests.small_runs import Experiment, StopWhen, invented_tweets, small_config, stored, write_tweets

_BRIEF: dict[str, Any] = {"training__epochs": 2}
_ATTENTION = _BRIEF | {"model__pooling": "attention"}
_ELMO = _BRIEF | {"data__text__lowercase": False, "data__train_rows": 60}
# What commands write and nobody reads, and the encoder's files, whose damage the tests of encoders try.
_NOT_DAMAGED = ("report", "downloads", "elmo")


class PausingAt(StopWhen):
    """Pauses a run after an epoch, as at the end of a rung."""

    def __init__(self, epoch: int) -> None:
        super().__init__(lambda asked: False)
        self.pause_after = epoch


@dataclass(frozen=True)
class Study:
    """A study in `pristine`, and a copy of it in which one file at a time is damaged."""

    folder: Path
    completed: str  # the names, in the folder of runs, of a completed run and of one that was stopped
    stopped: str

    @property
    def pristine(self) -> Path:
        return self.folder / "pristine"

    @property
    def results(self) -> Results:
        return Results(self.folder / "results")

    def run_dir(self, name: str) -> RunDir:
        return RunDir(self.results.runs / name)

    def renew(self) -> None:
        """Make the copy like the original; files are links, which the program and the damages replace."""
        shutil.rmtree(self.results.root, ignore_errors=True)
        shutil.copytree(self.pristine, self.results.root, copy_function=os.link)

    def files(self) -> list[Path]:
        """All files, relative to the results."""
        paths = (path for path in self.pristine.rglob("*") if path.is_file())
        relative = sorted(path.relative_to(self.pristine) for path in paths)
        return [path for path in relative if not {*path.parts[:2]} & {*_NOT_DAMAGED}]


def renew_digest(run_dir: RunDir) -> None:
    """Write the digest of a run's predictions, which somebody has changed, into its result."""
    result = stored(run_dir, Result)
    digests = result.files_sha256 | {run_dir.predictions_file.name: sha256_of(run_dir.predictions_file)}
    run_dir.write_record(result.model_copy(update={"files_sha256": digests}))


def build_study(folder: Path) -> Study:
    """Train six short runs: a grid, a search whose first rung is decided, and one with an encoder's vectors."""
    tweets = write_tweets(folder / "tweets.csv", invented_tweets(240))
    base = write_base(folder / "configs", tweets)
    results = Results(folder / "results")
    completed, stopped = _write_grid(results, tweets, base)
    _write_search(results, tweets, base)
    model, _ = write_random_model(folder / "elmo")
    config = small_config(tweets, elmo__model=str(model.parent), **_ELMO)
    assert Experiment(config, results, results.run_dir(config.run_id)).attempt() is None
    results.root.rename(folder / "pristine")
    study = Study(folder, f"mine/{completed.path.name}", f"mine/{stopped.path.name}")
    study.renew()
    return study


def _plan(name: str, run_ids: list[str], base: Path, shared: dict[str, Any], **changes: Any) -> GridPlan:
    fixed = {field.replace("__", "."): value for field, value in shared.items()}
    plan = a_plan(run_ids, name=name, base=str(base), **changes)
    runs = [run.model_copy(update={"parameters": {"seed": run.index + 1} | fixed}) for run in plan.runs]
    return plan.model_copy(update={"runs": runs})


def _write_grid(results: Results, tweets: Path, base: Path) -> tuple[RunDir, RunDir]:
    """Two completed runs, one that was stopped and left its records of failing, and what was submitted of it."""
    configs = [small_config(tweets, seed=seed, **_ATTENTION) for seed in (1, 2, 3)]
    run_dirs = [results.run_dir(config.run_id, "mine") for config in configs]
    results.write_grid(_plan("mine", [config.run_id for config in configs], base, _ATTENTION))
    tasks = [[config.run_id] for config in configs]
    write_job(results, "train", tasks, configs, grid="mine", local=True).mark_cancelled([configs[2].run_id])
    for config, run_dir in zip(configs[:2], run_dirs[:2], strict=True):
        assert Experiment(config, results, run_dir).attempt() is None
    assert Experiment(configs[2], results, run_dirs[2]).attempt(StopWhen(lambda asked: asked == 7)) is not None
    run_dirs[2].write_record(StartCount(step=0, number=1, job=None))
    run_dirs[2].write_record(a_failure(None))
    _write_added(results, run_dirs[0])
    return run_dirs[0], run_dirs[2]


def _write_added(results: Results, run_dir: RunDir) -> None:
    corpus = stored(run_dir, RunRecord).data_fingerprint
    table = pq.read_table(run_dir.predictions_file, columns=["tweet", "label"]).to_pylist()
    said = {row["tweet"]: ("negative", "positive")[row["label"]] for row in table}
    write_added(results.added_dir(corpus), "teacher", said, cost=1.5)


def _write_search(results: Results, tweets: Path, base: Path) -> None:
    """Two trials after the first rung, of which one is pruned and one is completed."""
    configs = [small_config(tweets, seed=seed, **_BRIEF) for seed in (4, 5)]
    run_ids = [config.run_id for config in configs]
    plan = _plan("search", run_ids, base, _BRIEF, halving=Halving(epochs=[1], eta=2), method="random")
    results.write_grid(plan)
    for config in configs:
        run = Experiment(config, results, results.run_dir(config.run_id, "search"))
        assert run.attempt(PausingAt(1)) is not None
    (winner,) = rungs_of(results, plan).rank_current().trials(1)
    config = configs[run_ids.index(winner)]
    assert Experiment(config, results, results.run_dir(winner, "search")).attempt() is None
