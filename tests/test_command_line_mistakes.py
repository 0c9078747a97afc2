"""Mistakes on the command line: each is one message with its own exit code, never a traceback."""

import os
from functools import partial
from pathlib import Path

import pytest

from sentiment.config_file import load_config
from sentiment.runs.run_dir import Results, RunDir
from tests.conftest import MakeExperiment
from tests.processes import run_python
from tests.small_runs import StopWhen, invented_tweets, write_tweets
from tests.test_command_line import refused


def test_file_name_that_is_not_utf_8_is_told_in_a_line(small_run_file: Path, tmp_path: Path) -> None:
    """A run's configuration is JSON, which could not name the file."""
    name = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.csv")
    write_tweets(Path(name), invented_tweets(50))
    for arguments in (("--data", name), ("--set", f"data.source={name}"), ("--set", f"embedding.pretrained={name}")):
        message = refused(2, "train", small_run_file, "--results", tmp_path / "results", *arguments)
        assert "is not UTF-8; rename what it names" in message
        assert message.strip().count("\n") == 0
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("name", ["run.json", "checkpoints/step-1.ckpt"])
def test_mistake_deletes_no_run_that_has_begun(small_run_file: Path, tmp_path: Path, name: str) -> None:
    options = ("train", small_run_file, "--results", tmp_path, "--data", tmp_path / "nothing.csv")
    run_dir = Results(tmp_path).run_dir(load_config(small_run_file, [f"data.source={options[-1]}"]).run_id)
    (run_dir.path / name).parent.mkdir(parents=True)
    (run_dir.path / name).touch()
    assert "nothing.csv: no such file" in refused(1, *options)
    assert (run_dir.path / name).exists()


def test_divergence_is_a_message(small_run_file: Path, tmp_path: Path) -> None:
    changes = [
        *("--set", "model.kind=feed_forward", "--set", "model.pooling=mean", "--set", "training.optimizer=sgd"),
        *("--set", "training.learning_rate=1e30", "--set", "training.clip=null"),
    ]
    message = refused(1, "train", small_run_file, "--results", tmp_path, *changes)
    assert "training.learning_rate = 1e+30 is too high" in message


def test_unfinished_run_is_told_apart(experiment: MakeExperiment, tmp_path: Path) -> None:
    run = experiment()
    assert run.attempt(StopWhen(lambda asked: True)) is not None
    for command in (["evaluate"], ["show"], ["predict", "--with", "network", "nice"], ["export", tmp_path / "a.zip"]):
        assert "is not completed yet" in refused(2, command[0], run.run_dir.path, *command[1:])


def test_damaged_files_of_a_run_are_named(experiment: MakeExperiment) -> None:
    run = experiment(training__epochs=1)
    run.complete()
    run.run_dir.best_weights.write_bytes(run.run_dir.best_weights.read_bytes()[:-5])
    assert "best.ckpt: is truncated or altered" in refused(1, "predict", run.run_dir.path, "nice", "--with", "network")
    run.run_dir.result_file.write_text("{}")
    assert "result.json: is not a valid record" in refused(1, "evaluate", run.run_dir.path)
    run.run_dir.result_file.write_text('{"schema_version": 99}')
    assert "has schema version 99, this program reads 1" in refused(1, "evaluate", run.run_dir.path)
    run.run_dir.config_file.write_text("{")
    assert "config.json: is not a configuration" in refused(1, "predict", run.run_dir.path, "nice")


def test_results_that_cannot_be_written_are_named(small_run_file: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert "cannot be written" in refused(1, "train", small_run_file, "--results", tmp_path / "file" / "results")


def test_run_directory_of_another_configuration_is_refused(
    small_run_file: Path, trained: RunDir, tmp_path: Path
) -> None:
    run_dir = Results(tmp_path).run_dir(load_config(small_run_file).run_id)
    run_dir.path.mkdir(parents=True)
    other = trained.read_config().model_copy(update={"seed": 99})
    run_dir.config_file.write_text(other.model_dump_json())
    assert f"belongs to run {other.run_id}, not to" in refused(1, "train", small_run_file, "--results", tmp_path)


@pytest.mark.slow
def test_a_process_ends_with_the_same_codes(trained: RunDir, tmp_path: Path) -> None:
    call = partial(run_python, "-m", "sentiment", cwd=tmp_path)

    good = call("evaluate", trained.path)
    assert (good.returncode, good.stderr) == (0, "")
    bad = call("show", tmp_path)
    assert bad.returncode == 2
    assert bad.stdout == ""
    assert bad.stderr.startswith(f"error: {tmp_path}: is not a run's directory")
    assert call("trian").returncode == 2
