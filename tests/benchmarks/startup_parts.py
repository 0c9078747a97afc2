"""What a task does before its first step, part by part, in one process; the argument is a results folder."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_START = time.perf_counter()


class _FirstStepError(Exception):
    """The first step is done: enough is known."""


def main(results: Path) -> None:
    """Print seconds, the interpreter's own start left out."""
    laps: dict[str, float] = {}

    def lap(name: str) -> None:
        laps[name] = time.perf_counter() - _START - sum(laps.values())

    def timed(module: Any, name: str, what: str) -> None:
        original: Callable[..., Any] = getattr(module, name)

        def call(*arguments: Any, **options: Any) -> Any:
            lap(f"up to {what}")
            value = original(*arguments, **options)
            lap(what)
            return value

        setattr(module, name, call)

    import jobs.tasks.array_task  # noqa: F401

    lap("import jobs.tasks.array_task (pydantic, the schema)")
    import torch  # noqa: F401

    lap("import torch")
    from sentiment.training import experiment

    lap("import the rest")
    from sentiment.config_file import resolve
    from sentiment.runs.run_dir import Results
    from sentiment.training.context import RunContext
    from sentiment.training.trainer import Trainer
    from tests.slurm.stage import BASE

    lap("(this measurement)")
    timed(experiment, "prepare_data", "open the corpus and its baseline")
    timed(experiment, "_prepare_trainer", "build model and optimiser")

    def first_step(self: Trainer[Any], batch: Any) -> None:
        lap("up to the first step")
        take_step(self, batch)
        lap("first step")
        raise _FirstStepError

    take_step, Trainer._take_step = Trainer._take_step, first_step  # type: ignore[method-assign]
    config = resolve(BASE, {}, "the base run")
    run_dir = Results(results).run_dir(config.run_id, "startup")
    try:
        experiment.run_experiment(RunContext(config, Results(results), run_dir))
    except _FirstStepError:
        for name, seconds in laps.items():
            print(f"  {seconds:5.2f} s  {name}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
