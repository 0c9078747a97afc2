"""Searches on real Sentiment140 tweets: epochs spent and what was chosen, in rungs, after one epoch, in full.

Not part of `make bench`, since it trains for minutes: `make bench BENCH=search`. Every trial of every sampler's seed is
trained to its end once, on two cores by default. What a search in rungs would have decided follows from the metric logs
of these runs by the same code that decides on a cluster, since a trial that goes on equals one that was never paused
(tests/slurm/test_search.py). With --results the runs are kept, and the next call goes
on from there.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from ruamel.yaml import YAML

from sentiment.config_file import read_yaml
from sentiment.runs.halving import HalvingSearch, read_search
from sentiment.runs.records import DEFAULT_THRESHOLD, GridPlan, Halving, Result
from sentiment.runs.run_dir import Results, RunDir
from tests.benchmarks.bench_models import REAL_TWEETS, ROOT, combine, difference

GRIDS = ROOT / "configs" / "grids"
EPOCHS = 9
KINDS = {"in rungs": Halving(epochs=[1, 3], eta=3), "one epoch": Halving(epochs=[1], eta=9)}


@dataclass(frozen=True)
class Chosen:
    """What a search spent, and the run that it chose."""

    kind: str
    epochs: int
    run_dir: RunDir

    def describe(self, best: "Chosen") -> str:
        """In a line, beside the full search."""
        gap = difference(_right(self.run_dir), _right(best.run_dir))
        return (
            f"  {self.kind:10} {self.epochs:4} epochs ({self.epochs / best.epochs:4.0%})  validation "
            f"{accuracy(self.run_dir, 'validation'):.4f}  test {accuracy(self.run_dir, 'test'):.4f}, {gap} points from "
            "the full search's"
        )


def accuracy(run_dir: RunDir, part: str) -> float:
    """Of a completed run."""
    result = run_dir.read(Result)
    if result is None:
        raise RuntimeError(f"{run_dir.path}: was not completed")
    return result.metrics[part].accuracy  # type: ignore[index]


def _right(run_dir: RunDir) -> npt.NDArray[np.float64]:
    table = pq.read_table(run_dir.predictions_file).to_pandas()
    table = table[table["part"] == "test"]
    return ((table["network_positive"] >= DEFAULT_THRESHOLD) == (table["label"] == 1)).to_numpy(float)


def write_search(folder: Path, seed: int, source: Path, options: argparse.Namespace) -> Path:
    """The file of a full search: the space of `random_sweep`, drawn with another seed."""
    base = read_yaml(ROOT / "configs" / "runs" / "sentiment140.yaml")
    base["data"] = {"source": str(source), "train_rows": options.most_tweets}
    base["training"] |= {"epochs": EPOCHS, "early_stopping": {"patience": None}}
    base |= {"tracking": {"wandb": "disabled"}, "runtime": {"device": "cpu", "threads": 1}}
    sweep = read_yaml(GRIDS / "random_sweep.yaml")
    del sweep["early_terminate"]
    command = ["${env}", "sentiment", "train", str(folder / "base.yaml"), "${args_no_hyphens}"]
    controller = {"type": "cloud", "seed": seed}
    sweep |= {"name": f"full-{seed}", "command": command, "controller": controller, "run_cap": options.trials}
    for name, values in (("base", base), (f"full-{seed}", sweep)):
        with open(folder / f"{name}.yaml", "w", encoding="utf-8") as file:
            YAML(typ="safe").dump(values, file)
    return folder / f"full-{seed}.yaml"


def in_rungs(results: Results, plan: GridPlan, kind: str) -> Chosen:
    """What the search would have decided, and chosen of its last rung."""
    name = f"{plan.name}-{kind.replace(' ', '-')}"
    searched = plan.model_copy(update={"name": name, "halving": KINDS[kind]})
    results.write_grid(searched)
    for run in plan.runs:
        link = results.run_dir(run.run_id, name).path
        if not link.exists():
            link.symlink_to(results.run_dir(run.run_id, plan.name).path.resolve())
    rungs = read_search(results, searched)
    while rungs and rungs.current < rungs.last:
        rungs = rungs.rank_current()
    assert rungs is not None
    return Chosen(kind, _epochs_spent(rungs), _best(results, plan, rungs.trials(rungs.last)))


def _epochs_spent(rungs: HalvingSearch) -> int:
    return sum(trial.epochs or EPOCHS for trial in rungs.trials_by_id.values())


def _best(results: Results, plan: GridPlan, run_ids: Sequence[str]) -> RunDir:
    run_dirs = [results.run_dir(run_id, plan.name) for run_id in run_ids]
    return max(run_dirs, key=lambda run_dir: accuracy(run_dir, "validation"))


def measure_searches(results: Results, folder: Path, options: argparse.Namespace) -> Iterator[str]:
    """Train each seed's trials, and say what each kind of search would have chosen."""
    source = folder / "combined.csv"
    combine(options.tweets, source)
    for seed in range(1, options.seeds + 1):
        plan = train(results, write_search(folder, seed, source, options), options)
        full = Chosen("in full", EPOCHS * len(plan.runs), _best(results, plan, [run.run_id for run in plan.runs]))
        yield f"seed {seed}, {len(plan.runs)} trials of {options.most_tweets:,} tweets"
        for chosen in (full, *(in_rungs(results, plan, kind) for kind in KINDS)):
            yield chosen.describe(full)


def train(results: Results, file: Path, options: argparse.Namespace) -> GridPlan:
    """Train all trials of a search, here."""
    command = [sys.executable, "-m", "jobs", "submit", str(file), "--local", "--results", str(results.root)]
    subprocess.run([*command, "--at-once", str(options.at_once)], check=True, stdout=subprocess.DEVNULL)
    plan = results.read_grid(file.stem)
    assert plan is not None
    return plan


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tweets", type=Path, default=REAL_TWEETS)
    parser.add_argument("--most-tweets", type=int, default=12_000)
    parser.add_argument("--trials", type=int, default=27)
    parser.add_argument("--seeds", type=int, default=3, help="of the sampler")
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--results", type=Path, help="keep the runs here")
    options = parser.parse_args()
    if not options.tweets.is_dir():
        print(f"search: no real tweets at {options.tweets}; name their folder with --tweets")
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.results or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for line in measure_searches(Results(folder), folder, options):
            print(line, flush=True)


if __name__ == "__main__":
    main()
