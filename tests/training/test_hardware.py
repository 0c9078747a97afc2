"""A run that goes on on another kind of processor says so, or refuses, and its record names both."""

import signal
import subprocess
from pathlib import Path

import pytest
import torch

from sentiment.errors import RunDirError
from sentiment.runs.records import RunRecord
from tests.conftest import MakeExperiment
from tests.small_runs import Experiment, StopWhen
from tests.training.processes import RunFile, count_rows, start, train_command, wait_until


def _stop(run: Experiment) -> None:
    assert run.attempt(StopWhen(lambda question: question == 8)) is not None


def _on(capability: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)


def _record(run: Experiment) -> RunRecord:
    record = run.run_dir.read_record()
    assert record is not None
    return record


def test_run_that_goes_on_on_other_hardware_says_so_once_and_is_marked(
    experiment: MakeExperiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = experiment()
    _on("AVX512", monkeypatch)
    _stop(run)
    _stop(run)
    assert not any("hardware" in line for line in run.said)
    _on("AVX2", monkeypatch)
    _stop(run)
    _stop(run)
    (told,) = [line for line in run.said if "hardware" in line]
    assert "goes on on other hardware: " in told
    assert told.index("(AVX2)") < told.index("(AVX512)")
    run.complete()
    assert [kind.rpartition(" ")[2] for kind in _record(run).hardware] == ["(AVX512)", "(AVX2)"]


def test_attempt_that_saved_nothing_on_other_hardware_leaves_no_mark(
    experiment: MakeExperiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = experiment(runtime__checkpoint__every_steps=1000)
    _on("AVX512", monkeypatch)
    _stop(run)
    with monkeypatch.context() as patch:
        _on("AVX2", patch)
        patch.setattr("sentiment.training.trainer.Trainer.save", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            _stop(run)
        assert len(_record(run).hardware) == 2
    run.complete()
    assert len(_record(run).hardware) == 1


def test_other_hardware_can_be_refused(experiment: MakeExperiment, monkeypatch: pytest.MonkeyPatch) -> None:
    run = experiment(runtime__same_hardware=True)
    _on("AVX512", monkeypatch)
    _stop(run)
    with monkeypatch.context() as patch:
        _on("AVX2", patch)
        with pytest.raises(
            RunDirError, match=r"\(AVX512\), and here is .*\(AVX2\): runtime\.same_hardware = true lets"
        ):
            run.attempt()
    run.complete()


@pytest.mark.slow
def test_torch_tells_a_lesser_processor_apart(
    run_file: RunFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if torch.backends.cpu.get_cpu_capability() == "DEFAULT":
        pytest.skip("this processor is the least of all already")
    run_file.share_corpus_with(tmp_path)
    process = start(run_file.path, tmp_path)
    assert wait_until(lambda: count_rows(run_file.run_dir(tmp_path)) > 10, process)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    command = [*train_command(run_file.path, tmp_path), "runtime.same_hardware=true"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "(DEFAULT): runtime.same_hardware = true lets it go on only on" in " ".join(done.stderr.split())


def test_another_version_of_a_package_is_told_when_a_run_goes_on(experiment: MakeExperiment) -> None:
    run = experiment()
    _stop(run)
    assert not any("numbers may differ" in line for line in run.said)
    run.run_dir.write_record(_record(run).model_copy(update={"versions": {"torch": "0.1"}}))
    run.complete()
    assert f"torch was 0.1 in the last attempt and is {torch.__version__} now: numbers may differ" in run.said
