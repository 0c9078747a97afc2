"""One attempt at a run: it resumes from the newest checkpoint, and `run.json` records how it began and ended."""

import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib import metadata
from pathlib import Path

import torch

from sentiment.config import RunConfig
from sentiment.errors import RunDirError, TakenOverError, in_one_line
from sentiment.processes import Stopwatch, slurm_job
from sentiment.runs.code_version import running_code
from sentiment.runs.records import INTERRUPTED, Attempt, ComputeTime, Reason, RunRecord, timestamp
from sentiment.training.checkpoint import OLDER_CHECKPOINT, delete_checkpoints, may_resume, valid_checkpoints
from sentiment.training.device import available_threads, choose_device, hardware_kind, make_reproducible
from sentiment.training.preparation import Prepared
from sentiment.training.stop import RunContext, Stop
from sentiment.training.tracking import mirror_to_wandb
from sentiment.training.trainer import DOES_NOT_FIT, Trainer


@contextmanager
def new_attempt(run: RunContext, prepared: Prepared) -> Iterator[tuple[Trainer, Callable[[], None]]]:
    """Yield a trainer in the state of the newest checkpoint, or at its beginning; record how the context ends.

    That it ends with a result records the function that is yielded too: before the result is written, since after it
    nothing would repair the record.

    Raises:
        Stop: there is a reason to stop; everything is saved.
        CheckpointError: the newest checkpoint has other inputs or was computed by other code.
        RunDirError: `run.json` cannot be read.
    """
    trainer = _resume(run, prepared)
    record = _record_attempt(run, prepared, trainer)
    stopwatch = Stopwatch(trainer.device.type == "cuda")

    def end(reason: Reason, detail: str | None) -> None:
        update = {"end": timestamp(), "reason": reason, "last_step": trainer.saved_step, "detail": detail}
        update["compute_time"] = ComputeTime.model_validate(stopwatch.read())
        attempts = [*record.attempts[:-1], record.attempts[-1].model_copy(update=update)]
        run.run_dir.write_record(record.model_copy(update={"attempts": attempts}))

    with mirror_to_wandb(run.run_dir, run.config.tracking, run.console.say):
        try:
            yield trainer, partial(end, "completed", None)
        except TakenOverError:
            raise  # another process records the attempts now
        except Stop as stop:
            end(stop.reason, stop.detail)
            raise
        except KeyboardInterrupt:  # a second Ctrl+C interrupts at once
            with suppress(OSError):
                end("signal", INTERRUPTED)
            raise
        except Exception as error:
            with suppress(OSError):  # fails as well on a full disk; the error itself says more
                trainer.log.write()
                end("failed", f"{type(error).__name__}: {in_one_line(error)}")
            raise


def _resume(run: RunContext, prepared: Prepared) -> Trainer:
    """A trainer in the state of the newest checkpoint that is valid, or at the beginning."""
    runtime = run.config.runtime
    device = choose_device(runtime.device)
    code = running_code().training_files
    for state in valid_checkpoints(run.run_dir, run.console.say):
        if not may_resume(run.run_dir, state, prepared.inputs, code, runtime.other_code, run.console.say):
            delete_checkpoints(run.run_dir)  # they would be newer than those of the run's new beginning
            break
        _check_hardware(run, state.hardware[-1], hardware_kind(device))
        # Results depend on the number of threads, so a resumed run keeps the number that it began with.
        trainer = new_trainer(run, prepared, state.threads, device)
        try:
            trainer.load_state(state)
        except torch.OutOfMemoryError:
            raise  # though it is a RuntimeError, the checkpoint is not to blame
        except DOES_NOT_FIT as error:
            problem = f"{run.run_dir.path}: the checkpoint of step {state.step} is of another model: {error}"
            run.console.say(f"{problem}; {OLDER_CHECKPOINT}")
            continue
        run.console.say(f"resuming after step {state.step} in epoch {state.epoch + 1}")
        return trainer
    trainer = new_trainer(run, prepared, available_threads(runtime), device)
    trainer.log.write()  # rows of an attempt that saved nothing are computed again
    return trainer


def new_trainer(run: RunContext, prepared: Prepared, threads: int, device: torch.device) -> Trainer:
    """A trainer at the beginning."""
    make_reproducible(threads, run.config.seed)
    return Trainer(run, prepared.new_task(run, device), prepared.inputs, threads)


_OTHER_DIGITS = "the last digits may differ from those of a run without a change of hardware"


def _check_hardware(run: RunContext, former: str, current: str) -> None:
    """Warn of a run that resumes on another kind of hardware, or refuse it with RunDirError if so configured."""
    if former == current:
        return
    if run.config.runtime.same_hardware:
        raise RunDirError(
            f"{run.run_dir.path}: was trained on {former}, but this machine has {current}. With "
            f"runtime.same_hardware=true it resumes only on {former} (`constraint` in configs/cluster.yaml chooses "
            f"nodes); with false it resumes here, and {_OTHER_DIGITS}"
        )
    run.console.say(f"resuming on different hardware: {current} (before: {former}); {_OTHER_DIGITS}")


def _record_attempt(run: RunContext, prepared: Prepared, trainer: Trainer) -> RunRecord:
    """Write `run.json` with a new attempt; warn if a package has another version than in the last attempt."""
    try:
        former = run.run_dir.read(RunRecord)
    except RunDirError as error:
        raise RunDirError(f"{error}; delete it to resume without the list of earlier attempts") from None
    code = running_code()
    versions = _versions(run.config)
    former_versions = former.attempts[-1].versions if former and former.attempts else {}
    for name, version in former_versions.items():
        if versions.get(name, version) != version:
            run.console.say(f"{name} was {version} in the last attempt and is {versions[name]} now: numbers may differ")
    attempt = Attempt(
        host=socket.gethostname(),
        pid=os.getpid(),
        job=slurm_job(),
        code=code.training,
        **code.model_dump(include={"git_commit", "git_dirty", "git_remote"}),
        versions=versions,
        device=torch.cuda.get_device_name(trainer.device) if trainer.device.type == "cuda" else "cpu",
        threads=torch.get_num_threads(),
        first_step=trainer.state.step,
        start=timestamp(),
    )
    attempts = [*(former.attempts if former else []), attempt]
    inputs = prepared.inputs
    corpus = prepared.corpus
    record = RunRecord(
        run_id=run.config.run_id,
        data_fingerprint=corpus.fingerprint,
        source_fingerprint=inputs["data"],
        tokenizer_fingerprint=inputs["tokenizer"],
        dataset=corpus.dataset,
        table_sha256=corpus.report.table_sha256,
        encoder=prepared.encoder_with_cache,
        vectors_sha256=inputs.get("vectors"),
        command=[Path(sys.argv[0]).name, *sys.argv[1:]],
        attempts=attempts,
        hardware=trainer.state.hardware,
    )
    run.run_dir.write_record(record)
    return record


def _versions(config: RunConfig) -> dict[str, str]:
    """The versions of Python and of the packages that can change a run's numbers."""
    packages = ["numpy", "nltk", "pandas", "scikit-learn"]
    if config.encoder:
        packages.append("transformers")
    # torch's own version names its build, such as 2.13.0+cu130; the package's metadata may not.
    versions = {"python": sys.version.split()[0], "torch": str(torch.__version__)}
    return versions | {name: metadata.version(name) for name in packages}
