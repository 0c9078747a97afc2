"""A run from data to result: what it refuses and says, on which hardware and vectors, and with a full disk."""

import re
import shutil
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch

from sentiment.console import silent
from sentiment.data.vocabulary import UNKNOWN, Vocabulary, load_vectors, pretrained_file, vectors_fingerprint
from sentiment.encoders.elmo import suits_onednn
from sentiment.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    LockedError,
    MemoryExhaustedError,
    RunDirError,
    TakenOverError,
)
from sentiment.runs.records import Result
from sentiment.runs.run_dir import Results, RunDir
from sentiment.runs.state import RunState, judge, read_progress
from sentiment.training.checkpoint import read_checkpoint
from sentiment.training.device import hardware_kind
from sentiment.training.experiment import fit_models, run_single
from sentiment.training.preparation import prepare_data
from sentiment.training.stop import RunContext, Stop, StopRequest
from tests.conftest import MakeExperiment
from tests.small_runs import (
    Experiment,
    StopWhen,
    digest_of,
    invented_tweets,
    limited_file_size,
    small_config,
    write_tweets,
)


def _stopped(run: Experiment, question: int) -> Experiment:
    assert run.attempt(StopWhen(lambda asked: asked == question)) is not None
    return run


def test_run_is_not_taken_for_one_on_replaced_tweets_or_vectors(experiment: MakeExperiment, tmp_path: Path) -> None:
    tweets, others = (
        write_tweets(tmp_path / f"{name}.csv", invented_tweets(200, seed)) for seed, name in enumerate("ab")
    )
    vectors, turned = tmp_path / "vectors.txt", tmp_path / "turned.txt"
    vectors.write_text("happy " + "0.1 " * 7 + "0.1\nsad " + "0.2 " * 7 + "0.2\n")
    turned.write_text(vectors.read_text().replace("0.1", "0.3"))
    run = experiment(data__source=str(tweets), embedding__pretrained=str(vectors), training__epochs=2)
    prepare_data(run.config, run.results, silent)
    _stopped(run, 5)
    for error, of_tweets, of_vectors in (
        (CheckpointError, "data of this run changed .*move .* away", "vectors of this run changed"),
        (RunDirError, "before its data changed", "before its vectors changed"),
    ):
        for file, other, message in ((tweets, others, of_tweets), (vectors, turned, of_vectors)):
            former = file.read_bytes()
            file.write_bytes(other.read_bytes())
            with pytest.raises(error, match=message):
                run.attempt()
            file.write_bytes(former)
        run.complete()
    tweets.unlink()
    vectors.unlink()
    run.complete()  # which needs neither any more
    assert run.said[-1] == "the run is already completed"


def test_stop_while_data_are_prepared_leaves_nothing_begun(tmp_path: Path) -> None:
    tweets = write_tweets(tmp_path / "tweets.csv", invented_tweets(200))
    run = Experiment(small_config(tweets, training__epochs=1), Results(tmp_path / "results"), RunDir(tmp_path / "run"))
    _stopped(run, 1)
    assert not list((tmp_path / "results").rglob("manifest.json"))
    run.complete()


def test_a_second_ctrl_c_is_written_down(experiment: MakeExperiment) -> None:
    run = experiment()
    twice = patch("sentiment.training.trainer.Trainer.train", side_effect=KeyboardInterrupt)
    with twice, pytest.raises(KeyboardInterrupt):
        run.attempt()
    assert (run.record.attempts[-1].reason, run.record.attempts[-1].detail) == ("signal", "SIGINT, at once")
    assert judge(read_progress(run.run_dir)) == RunState("STOPPED", "interrupted: SIGINT, at once")


def test_last_step_of_an_attempt_is_what_it_saved(experiment: MakeExperiment) -> None:
    class Interrupted(StopRequest):
        def check(self) -> None:
            if len(self.steps) == 9:  # the small run saves at each sixth
                raise KeyboardInterrupt

    run = experiment()
    with pytest.raises(KeyboardInterrupt):
        run.attempt(Interrupted())
    assert run.record.attempts[-1].last_step == 6


@pytest.mark.parametrize("step", ["attempt.new_trainer", "trainer.Trainer.load_state", "trainer.Trainer.train"])
def test_full_gpu_is_told_and_discards_no_checkpoint(experiment: MakeExperiment, step: str) -> None:
    run = experiment()
    stop = StopRequest()
    stop.pause_after = 1
    run.attempt(stop)
    full = patch(f"sentiment.training.{step}", side_effect=torch.OutOfMemoryError)
    with full, pytest.raises(MemoryExhaustedError, match=r"full.* training\.batch_size .* \(`gpu_type` in"):
        run.attempt()
    assert run.record.attempts[-1].reason == ("failed" if step.endswith("train") else "paused")
    run.attempt()
    assert run.record.attempts[-1].first_step == run.record.attempts[0].last_step


def test_too_large_a_model_is_refused_by_a_fit_as_well(experiment: MakeExperiment, tmp_path: Path) -> None:
    run = experiment(model__hidden_size=1_000_000)
    fit = RunContext(run.config, Results(tmp_path), RunDir(tmp_path / "run"))
    for train in (run.attempt, lambda: fit_models(fit, with_baseline=False)):
        with pytest.raises(MemoryExhaustedError, match=r"memory of this machine is full .* a smaller model\.hidden"):
            train()
    with pytest.raises(ConfigError, match="less than or equal to 1000000"):
        experiment(model__hidden_size=1_000_001)


@pytest.mark.parametrize("is_made", [False, True], ids=["no directory", "made by another process"])
@pytest.mark.parametrize("error", [DataError(), LockedError("locked"), TakenOverError()], ids=repr)
def test_no_error_leaves_a_new_directory_or_deletes_one_of_another_process(
    tmp_path: Path, error: Exception, is_made: bool
) -> None:
    config = small_config(tmp_path / "tweets.csv")
    run_dir = RunDir(tmp_path / "run")
    if is_made:
        run_dir.create(config)
    with patch("sentiment.training.experiment.prepare_data", side_effect=error), pytest.raises(type(error)):
        run_single(RunContext(config, Results(tmp_path), run_dir))
    assert run_dir.config_file.exists() == is_made


def test_results_are_computed_again_if_there_is_a_reason_to_stop(experiment: MakeExperiment, trained: RunDir) -> None:
    run = experiment()
    epochs = run.config.training.epochs

    class AfterTraining(StopRequest):
        def reason(self) -> Stop | None:
            is_trained = run.run_dir.metrics_file.exists() and run.run_dir.count_epochs() == epochs
            return Stop("deadline", "no time is left") if is_trained else None

    assert run.attempt(AfterTraining()) == Stop("deadline", "no time is left")
    assert not run.run_dir.completed
    assert run.attempt() is None
    first, last = run.record.attempts
    assert (first.reason, last.reason) == ("deadline", "completed")
    assert first.last_step == last.first_step == last.last_step
    assert digest_of(run.run_dir) == digest_of(trained)


class _KilledError(BaseException):
    """As if the process had been killed: nothing catches it."""


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_about_the_result_leaves_no_attempt_open(
    experiment: MakeExperiment, trained: RunDir, moment: str
) -> None:
    run = experiment()
    write = RunDir.write_record

    def killed(run_dir: RunDir, record: Any) -> None:
        if isinstance(record, Result) and moment == "before":
            raise _KilledError
        write(run_dir, record)
        if isinstance(record, Result):
            raise _KilledError

    with patch.object(RunDir, "write_record", killed), pytest.raises(_KilledError):
        run.attempt()
    assert run.run_dir.completed == (moment == "after")
    assert run.record.attempts[-1].compute_time is not None
    state = judge(read_progress(run.run_dir)).state
    assert state == {"before": "LOST", "after": "COMPLETED"}[moment]
    run.attempt()
    assert [attempt.reason for attempt in run.record.attempts] == ["completed"] * (1 + (moment == "before"))
    assert digest_of(run.run_dir) == digest_of(trained)


def _on(capability: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)


@pytest.mark.slow
def test_other_hardware_is_told_once_and_marked(experiment: MakeExperiment, monkeypatch: pytest.MonkeyPatch) -> None:
    run = experiment()
    for capability in ("AVX512", "AVX512", "AVX2", "AVX2"):
        assert not any("hardware" in line for line in run.said) or capability == "AVX2"
        _on(capability, monkeypatch)
        _stopped(run, 8)
    (told,) = [line for line in run.said if "hardware" in line]
    assert "resuming on different hardware: " in told
    assert told.index("(AVX2)") < told.index("(AVX512)")
    run.complete()
    assert [kind.rpartition(" ")[2] for kind in run.record.hardware] == ["(AVX512)", "(AVX2)"]


def test_processor_is_named_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sentiment.training.device.Path", lambda path: Path(f"/nowhere{path}"))
    monkeypatch.setattr("sentiment.encoders.elmo._CPU_INFO", Path("/nowhere"))
    assert re.fullmatch(r".+ \(.+\)", hardware_kind(torch.device("cpu")))
    assert not suits_onednn.__wrapped__(torch.float32)


def test_completed_run_needs_no_lock(
    experiment: MakeExperiment, trained: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In somebody else's results its file cannot be written."""
    run = experiment()
    shutil.copytree(trained.path, run.run_dir.path)
    monkeypatch.setattr("sentiment.runs.run_dir.Lock", lambda *_: pytest.fail("takes the lock"))
    run.complete()
    assert "the run is already completed" in run.said


@pytest.mark.slow
def test_another_tokenizer_is_called_that(experiment: MakeExperiment, monkeypatch: pytest.MonkeyPatch) -> None:
    completed, begun = experiment(), _stopped(experiment(), 8)
    completed.complete()
    for module in ("data.corpus", "encoders.inputs"):
        monkeypatch.setattr(f"sentiment.{module}.tokenizer_fingerprint", lambda: "another")
    with pytest.raises(RunDirError, match="was completed before its tokenizer changed"):
        completed.attempt()
    with pytest.raises(CheckpointError, match="tokenizer of this run changed after its last checkpoint"):
        begun.attempt()


def test_hardware_can_be_refused_and_torch_is_told(experiment: MakeExperiment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "__version__", "2.13.0+cpu")
    _on("AVX512", monkeypatch)
    run = _stopped(experiment(runtime__same_hardware=True), 8)
    with monkeypatch.context() as patched:
        _on("AVX2", patched)
        with pytest.raises(RunDirError, match=r"\(AVX512\), but .*\(AVX2\).*runtime\.same_hardware"):
            run.attempt()
    assert not any("numbers may differ" in line for line in run.said)
    monkeypatch.setattr(torch, "__version__", "2.13.0+cu130")
    run.complete()
    (warning,) = [line for line in run.said if "numbers may differ" in line]
    assert "torch was 2.13.0+cpu in the last attempt and is 2.13.0+cu130 now" in warning
    assert run.record.attempts[0].versions["torch"].endswith("+cpu")
    assert run.record.attempts[-1].versions["torch"] == "2.13.0+cu130"


# Checkpoints are larger than this, all other files are smaller.
ROOM = 20_000
LARGE: dict[str, Any] = {"embedding__size": 64, "training__log_every": 50}


@pytest.mark.slow
def test_without_room_for_checkpoints_nothing_is_lost_and_nothing_claimed(experiment: MakeExperiment) -> None:
    expected = experiment(**LARGE).complete()
    run = _stopped(experiment(**LARGE), 20)
    before = {path.name: path.read_bytes() for path in run.run_dir.checkpoints.iterdir()}
    assert min(map(len, before.values())) > ROOM
    for stop in (StopWhen(lambda asked: asked == 3), None):
        with limited_file_size(ROOM), pytest.raises(OSError, match=r"File too large: '.*/step-.*\.ckpt'"):
            run.attempt(stop)
        assert run.record.attempts[-1].reason == "failed"
    assert {path.name: path.read_bytes() for path in run.run_dir.checkpoints.iterdir()} == before
    assert not run.run_dir.completed
    assert run.complete() == expected


WORD2VEC = {"embedding__pretrained": "word2vec", "vectors__epochs": 2, "training__epochs": 1}


def test_a_run_learns_its_vectors_and_starts_from_them(experiment: MakeExperiment) -> None:
    run = experiment(**WORD2VEC, training__learning_rate=1e-15)  # too little to change any weight
    run.complete()
    vocabulary = Vocabulary.from_bytes(run.run_dir.vocabulary_file.read_bytes(), "")
    weights = read_checkpoint(run.run_dir.best_weights)["weights"]
    table = next(tensor for name, tensor in weights.items() if "embedding" in name).numpy()
    file = pretrained_file(run.config, run.results)
    vectors, found = load_vectors(file, vocabulary, 8, run.config.seed)
    assert found > 9
    assert f"word2vec: has vectors for {found} of {len(vocabulary.types)} types" in run.said
    np.testing.assert_array_equal(table, vectors)
    assert run.record.vectors_sha256 == vectors_fingerprint(run.config, run.results)


@pytest.mark.parametrize(("changes", "known"), [({}, True), ({"data__vocabulary__max_size": 20}, False)])
def test_a_run_knows_the_types_that_only_its_vectors_know(
    experiment: MakeExperiment, tmp_path: Path, changes: dict[str, Any], known: bool
) -> None:
    more = tmp_path / "more.txt"
    more.write_text("".join(f"an unlabelled tweet with a wordfromelsewhere and {n} others\n" for n in range(9)))
    run = experiment(**WORD2VEC, vectors__unlabelled=[{"path": str(more)}], **changes)
    run.complete()
    vocabulary = Vocabulary.from_bytes(run.run_dir.vocabulary_file.read_bytes(), "")
    assert (vocabulary.encode(["wordfromelsewhere"])[0] != UNKNOWN) == known
    assert known or len(vocabulary.types) == 20
