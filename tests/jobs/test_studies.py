"""Random studies of three grids, in which anything happens at any moment, end as if nothing had happened."""

import os
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import pytest

from jobs.requested import waiting_grids
from jobs.status.grid_state import RunStatus, exit_code, read_status
from sentiment.errors import EXIT_UNFINISHED
from sentiment.runs.records import Result, RunRecord
from sentiment.runs.run_dir import Results
from sentiment.runs.state import COMPLETED, PRUNED
from tests.commands import invoke
from tests.jobs.grid_files import halving, starts_from, write_grid, write_yaml
from tests.jobs.world import World

STUDIES = range(int(os.environ["FUZZ"]) // 10) if "FUZZ" in os.environ else (0, 3)
"""In the suite one on this machine, and one on Slurm."""
VARIANTS = 3
NAMES = ("one", "two", "three")
EVENTS = ("kill", "kill all", "interrupt", "cancel", "second", "edit")
RATES = "training.learning_rate"
FIRST: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({RATES: [0.01, 0.02, 0.03]}, {}),
    ({RATES: [0.01, 0.02], "seed": [1, 2]}, {}),
    ({RATES: [0.01, 0.02], "data.folds": 2, "data.fold": [1, 2]}, {}),
    ({RATES: [0.01, 0.02, 0.03, 0.04], "training.epochs": 3}, halving(min_iter=1, eta=2)),
]
SECOND: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"model.dropout": [0.2, 0.5]}, {}),
    ({"model.dropout": [0.1, 0.2, 0.5], "training.epochs": 3}, halving(min_iter=1, eta=2)),
]


@dataclass
class Study:
    """A study of three grids that wait for each other, and a person who wants its results."""

    world: World
    files: list[Path]
    local: bool
    random: Random
    options: list[str] = field(default_factory=list)

    @property
    def results(self) -> Results:
        return self.world.results

    @property
    def story(self) -> str:
        return "\n".join(self.world.lines)

    @property
    def submit(self) -> list[str]:
        where = ["--local"] if self.local else []
        return ["submit", *map(str, self.files), *where, *self.options, "--results", str(self.results.root)]

    def run(self) -> None:
        """Repeat the command, or what it tells, until there are all results."""
        words = self.submit
        self.world.again = partial(self.command, self.submit)
        for _ in range(12):
            told: list[str] = []
            self.world.command(lambda words=words, told=told: told.append(self.command(words)))
            self.world.settle()
            if self.is_done():
                self.world.deaths = set()  # some may be left
                assert self.call(self.submit)[0] == 0
                return
            words = self.next_command("".join(told))
        raise AssertionError(self.story)

    def command(self, words: list[str]) -> str:
        """Run a command, and check its exit code; return what it printed."""
        code, output = self.call(words)
        self.check(code, words)
        return output

    def call(self, words: list[str]) -> tuple[int, str]:
        done = invoke(*words)
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        self.world.lines += [f"$ {shlex.join(words)}", *done.output.splitlines(), f"-> {done.exit_code}"]
        return done.exit_code, done.output

    def next_command(self, told: str) -> list[str]:
        """A command that is told in the output of the last one or of `status`; or the first one again."""
        told += self.call(["status", "--results", str(self.results.root)])[1]
        commands = [shlex.split(line)[1:] for line in re.findall("`(sentiment (?:submit|rerun) [^`]*)`", told)]
        return self.random.choice([self.submit, *commands])

    def rows(self) -> list[RunStatus]:
        return [row for view in read_status(self.results) for row in view.rows]

    def is_done(self) -> bool:
        states = {row.state for row in self.rows()}
        return states <= {COMPLETED, PRUNED} and not waiting_grids(self.results) and self.are_planned()

    def are_planned(self) -> bool:
        return all(self.results.read_grid(name) for name in NAMES)

    def check(self, code: int, words: list[str]) -> None:
        """The exit code is 0 exactly if all that was asked for has a result or, in Slurm, is in the queue."""
        views = read_status(self.results)
        asked = [view for view in views if {view.name, f"{view.name}.yaml"} & {Path(word).name for word in words}]
        lacking = [row for view in asked for row in view.rows if row.state not in (COMPLETED, PRUNED)]
        waits = any(view.waits_for for view in asked)
        queued = set() if self.local else {row.grid for row in self.rows() if row.active}
        if code == 0:
            assert {row.grid for row in lacking} <= queued, self.story
            assert queued or not waits, self.story
        else:
            assert not self.is_done(), self.story
        if self.is_done():
            assert exit_code(views) in (0, EXIT_UNFINISHED), self.story  # the report may be in the queue

    def outcome(self) -> dict[str, Any]:
        """The choices, and which code trained each run."""
        found: dict[str, Any] = {"rankings": {}, "runs": {}}
        for name in NAMES:
            plan = self.results.read_grid(name)
            found[name] = plan.starts_from
            if plan.halving:
                found["rankings"][name] = self.world.rankings(name)
            for run in plan.runs:
                run_dir = self.results.run_dir(run.run_id, name)
                record = run_dir.read(RunRecord)
                codes = {attempt.code for attempt in record.attempts} if record else set()
                found["runs"][name, run.run_id] = (run_dir.completed, codes if run_dir.completed else set())
        return found


@contextmanager
def a_study(base: Path, like: Result, seed: int, events: dict[int, str], deaths: set[int]) -> Iterator[Study]:
    """A study that depends on the seed alone, but for what happens."""
    random = Random(seed)
    folder = base.parent / f"study-{len([*base.parent.glob('study-*')])}"
    rule = random.choice(["overfitting", "best"])
    parameters, changes = random.choice(FIRST)
    files = [write_grid(base, {"training.epochs": 2} | parameters, name="one", **changes)]
    parameters, changes = random.choice(SECOND)
    files.append(write_grid(base, parameters, name="two", **starts_from("one", rule), **changes))
    of_third = starts_from(random.choice(["one", "two"]), "best")
    files.append(write_grid(base, {"model.layers": [1, 2]}, name="three", **of_third))
    random.shuffle(files)
    overfitting = {2} if rule == "overfitting" else set()
    world = World(Results(folder / "results"), like, Random(seed), deaths, overfitting=overfitting, events=events)
    study = Study(world, files, random.random() < 0.5, Random(seed))
    if not study.local:
        resources = {"defaults": {"gpus": 0, **random.choice([{}, {"tasks": 2}])}}
        study.options = ["--cluster", str(write_yaml(folder / "cluster.yaml", resources))]
    with world.patched(), patch("jobs.grids.grid.missing_for", lambda _configs, _results: []):
        yield study


def run_study(base: Path, like: Result, seed: int, events: dict[int, str], deaths: set[int]) -> Study:
    with a_study(base, like, seed, dict(events), deaths) as study:
        study.run()
    return study


@pytest.mark.slow
@pytest.mark.parametrize("seed", STUDIES)
def test_study_ends_as_if_nothing_had_happened_whatever_happens(base: Path, like: Result, seed: int) -> None:
    calm = run_study(base, like, seed, {}, set())
    trainings = sum(calm.world.trained.values())
    random = Random(seed)
    for _ in range(VARIANTS):
        events = {random.randint(1, trainings): random.choice(EVENTS) for _ in range(random.randint(1, 3))}
        deaths = set[int]()
        if "edit" not in events.values() and random.random() < 0.6:
            deaths = {
                random.randint(1, calm.world.steps) for _ in range(random.randint(1, 3))
            }  # a command that has not recorded all knows no former code
        study = run_study(base, like, seed, events, deaths)
        assert study.outcome() == calm.outcome(), (events, deaths, study.story)
