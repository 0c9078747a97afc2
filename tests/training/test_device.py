"""Where a run computes: hardware that has changed is told or refused, and vectors go to memory where they fit."""

import pytest
import torch

from sentiment.errors import RunDirError
from tests.conftest import MakeExperiment
from tests.small_runs import Experiment, StopWhen


def _stop(run: Experiment) -> None:
    assert run.attempt(StopWhen(lambda question: question == 8)) is not None


def _on(capability: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)


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
    assert [kind.rpartition(" ")[2] for kind in run.record.hardware] == ["(AVX512)", "(AVX2)"]


def test_other_hardware_can_be_refused_and_another_version_of_a_package_is_told(
    experiment: MakeExperiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = experiment(runtime__same_hardware=True)
    _on("AVX512", monkeypatch)
    _stop(run)
    with monkeypatch.context() as patch:
        _on("AVX2", patch)
        refusal = r"\(AVX512\), and here is .*\(AVX2\): runtime\.same_hardware = true lets"
        with pytest.raises(RunDirError, match=refusal):
            run.attempt()
    assert not any("numbers may differ" in line for line in run.said)
    run.run_dir.write_record(run.record.model_copy(update={"versions": {"torch": "0.1"}}))
    run.complete()
    assert f"torch was 0.1 in the last attempt and is {torch.__version__} now: numbers may differ" in run.said
