"""The command line: what it prints, how it ends, and that a mistake is one message instead of a traceback."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sentiment.__main__ import app
from sentiment.config_file import load_config
from sentiment.run_dir import Results, RunDir
from tests.conftest import MakeExperiment
from tests.small_runs import StopWhen, invented_tweets, write_tweets

COMMANDS = ("data", "elmo-weights", "train", "evaluate", "predict", "digest")


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def _refused(code: int, *arguments: object) -> str:
    """The message of a command that must fail with this code."""
    result = _run(*arguments)
    assert result.exit_code == code, result.output
    assert isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    return result.output


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("it's results")


def _only_run(results: Path) -> RunDir:
    (path,) = (results / "runs" / "single").iterdir()
    return RunDir(path)


def test_training_prints_scores_and_where_things_are_and_is_done_once(
    small_run_file: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _run("train", small_run_file, "--results", results)
    assert first.exit_code == 0, first.output
    run_dir = _only_run(results)
    for expected in (
        "linear baseline",
        "mean of both",
        "best epoch",
        "overfit",
        str(run_dir.path),
        "-m sentiment predict",
    ):
        assert expected in first.output
    before = run_dir.metrics_file.stat().st_mtime_ns

    def nothing_to_train(*_: object) -> None:
        raise AssertionError("trains again")

    monkeypatch.setattr("sentiment.training.trainer.Trainer.train", nothing_to_train)
    second = _run("train", small_run_file, "--results", results)
    assert second.exit_code == 0, second.output
    assert "is completed already" in second.output
    assert first.output.split("run directory")[1] == second.output.split("run directory")[1]
    assert run_dir.metrics_file.stat().st_mtime_ns == before


def test_time_limit_ends_with_3_and_the_next_call_goes_on(small_run_file: Path, tmp_path: Path) -> None:
    stopped = _run("train", small_run_file, "--results", tmp_path, "--set", "runtime.time_limit_seconds=0.1")
    assert stopped.exit_code == 3
    assert "stopped (0 s left" in stopped.output
    assert "the same command goes on" in stopped.output
    assert _run("train", small_run_file, "--results", tmp_path).exit_code == 0


def test_set_and_data_choose_another_run(small_run_file: Path, tmp_path: Path) -> None:
    table = write_tweets(tmp_path / "my tweets.csv", invented_tweets(400, seed=4))
    changes = ("--set", "training.epochs=1", "--set", "model.hidden_size=3")
    done = _run("train", small_run_file, "--results", tmp_path / "r", "--data", table, *changes)
    assert done.exit_code == 0, done.output
    config = _only_run(tmp_path / "r").read_config()
    assert (config.data.source, config.training.epochs, config.model.hidden_size) == (str(table), 1, 3)


@pytest.mark.parametrize("dashes", ["", "--"])
def test_fields_change_as_the_agent_of_wandb_passes_them(small_run_file: Path, tmp_path: Path, dashes: str) -> None:
    changes = [
        f"{dashes}{change}" for change in ("training.epochs=1", "model.bidirectional=False", "training.l2=1e-05")
    ]
    done = _run("train", small_run_file, *changes, "--results", tmp_path)
    assert done.exit_code == 0, done.output
    config = _only_run(tmp_path).read_config()
    assert (config.training.epochs, config.model.bidirectional, config.training.l2) == (1, False, 1e-05)


@pytest.mark.parametrize("slip", [("--reslts", "here"), ("-x",), ("--dry-run",)], ids=" ".join)
def test_option_that_does_not_exist_is_no_change_of_a_field(small_run_file: Path, slip: tuple[str, ...]) -> None:
    assert f"{slip[0]}: no such option" in _refused(2, "train", small_run_file, *slip)
    assert "unknown key (an override)" in _refused(2, "train", small_run_file, f"{slip[0]}=1".replace("-x", "--x"))


def test_evaluation_of_a_run_shows_and_writes_its_scores(trained: RunDir, tmp_path: Path) -> None:
    done = _run("evaluate", trained.path, "--json", tmp_path / "scores.json")
    assert done.exit_code == 0, done.output
    scores = json.loads((tmp_path / "scores.json").read_text())
    result = trained.read_result()
    assert result is not None
    assert scores == {part: metrics.model_dump() for part, metrics in result.metrics.items()}
    assert f"{result.metrics['test'].accuracy:.3f}" in done.output


def test_evaluation_of_a_file_counts_each_of_its_rows(trained: RunDir, tmp_path: Path) -> None:
    tweets = invented_tweets(300, seed=9)
    table = write_tweets(tmp_path / "new.csv", [*tweets, *tweets[:50]])
    options = ("--data", table, "--json", tmp_path / "scores.json", "--results", tmp_path)
    done = _run("evaluate", trained.path, *options)
    assert done.exit_code == 0, done.output
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["n"] == 350
    assert scores["accuracy"] > 0.6
    assert "new.csv, 350 tweets" in done.output


def test_prediction_of_texts_names_label_and_probability(trained: RunDir) -> None:
    done = _run("predict", trained.path, "such a lovely happy day", "awful [bold]broken")
    assert done.exit_code == 0, done.output
    first, second = done.output.splitlines()
    assert first.startswith("positive  0.")
    assert first.endswith("  such a lovely happy day")
    assert second.startswith("negative  0.")
    assert second.endswith("  awful [bold]broken")


def test_prediction_with_attention_shows_the_weight_of_each_token(trained_with_attention: RunDir) -> None:
    done = _run("predict", trained_with_attention.path, "lovely [red]tea :)")
    assert done.exit_code == 0, done.output
    weights = done.output.splitlines()[1]
    for token in ("lovely", "red", "tea", ":)"):
        assert token in weights
    assert weights.count("%)") >= 4


def test_prediction_of_a_file_says_how_many_rows_it_wrote(trained: RunDir, tmp_path: Path) -> None:
    table = write_tweets(tmp_path / "in.csv", invented_tweets(30))
    done = _run("predict", trained.path, "--file", table, "--out", tmp_path / "out.csv")
    assert done.exit_code == 0, done.output
    assert "30 rows written to" in done.output
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 31


def test_digest_is_that_of_the_result(trained: RunDir) -> None:
    done = _run("digest", trained.path)
    result = trained.read_result()
    assert result is not None
    best, last, metrics = (line.split() for line in done.output.splitlines())
    assert best == [result.weights_sha256, "best", "weights"]
    assert last[1:] == ["last", "weights"]
    assert metrics == [result.metrics_sha256, "metrics"]


def test_data_reports_what_is_in_a_file(tmp_path: Path) -> None:
    table = write_tweets(tmp_path / "tweets.csv", invented_tweets(400))
    done = _run("data", table, "--results", tmp_path)
    assert done.exit_code == 0, done.output
    assert "400" in done.output
    assert "prepared in" in done.output


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    done = _run(command, "--help")
    assert done.exit_code == 0
    assert "Usage" in done.output


def test_help_lists_all_commands_and_no_command_shows_help() -> None:
    done = _run("--help")
    assert all(command in done.output for command in COMMANDS)
    assert "Usage" in _run().output


# --- mistakes ---------------------------------------------------------------------------------------------------------


def test_mistakes_in_the_configuration_are_usage_errors(small_run_file: Path, tmp_path: Path) -> None:
    assert "no such file" in _refused(2, "train", tmp_path / "nothing.yaml")
    assert "must look like section.field=value" in _refused(2, "train", small_run_file, "--set", "seed")
    message = _refused(2, "train", small_run_file, "--set", "model.hiden_size=3", "--set", "seed=x")
    assert "did you mean 'hidden_size'?" in message
    assert "seed = 'x' (an override)" in message
    assert "cuda:63" in _refused(2, "train", small_run_file, "--results", tmp_path, "--set", "runtime.device=cuda:63")
    assert "runtime.device = 'tpu'" in _refused(2, "train", small_run_file, "--set", "runtime.device=tpu")
    assert "learning_rate" in _refused(2, "train", small_run_file, "--set", "training.learning_rate=.inf")


def test_data_that_cannot_be_used_is_named(small_run_file: Path, tmp_path: Path) -> None:
    def train_on(text: str) -> str:
        (tmp_path / "some.csv").write_text(text)
        return str(tmp_path / "some.csv")

    options = ("train", small_run_file, "--results", tmp_path / "results", "--data")
    assert "nothing.csv: no such file" in _refused(1, *options, tmp_path / "nothing.csv")
    assert "is empty" in _refused(1, *options, train_on(""))
    assert "no column 'label'; the file has 'text', 'lable'" in _refused(2, *options, train_on("text,lable\na,1\n"))
    assert "unknown label 'maybe'" in _refused(1, *options, train_on("text,label\nnice,maybe\n"))
    one_class = "text,label\n" + "".join(f"tweet {n} is nice,1\n" for n in range(200))
    assert "0 negative" in _refused(1, *options, train_on(one_class))
    assert list((tmp_path / "results" / "runs" / "single").iterdir()) == []  # nothing that a report would show


@pytest.mark.parametrize("name", ["run.json", "checkpoints/step-1.ckpt"])
def test_mistake_deletes_no_run_that_has_begun(small_run_file: Path, tmp_path: Path, name: str) -> None:
    options = ("train", small_run_file, "--results", tmp_path, "--data", tmp_path / "nothing.csv")
    run_dir = Results(tmp_path).run_dir(load_config(small_run_file, [f"data.source={options[-1]}"]).run_id)
    (run_dir.path / name).parent.mkdir(parents=True)
    (run_dir.path / name).touch()
    assert "nothing.csv: no such file" in _refused(1, *options)
    assert (run_dir.path / name).exists()


def test_divergence_is_a_message(small_run_file: Path, tmp_path: Path) -> None:
    changes = [
        *("--set", "model.kind=feed_forward", "--set", "model.pooling=mean", "--set", "training.optimizer=sgd"),
        *("--set", "training.learning_rate=1e30", "--set", "training.clip=null"),
    ]
    message = _refused(1, "train", small_run_file, "--results", tmp_path, *changes)
    assert "training.learning_rate = 1e+30 is too high" in message


@pytest.mark.parametrize("command", ["evaluate", "predict", "digest"])
def test_directory_that_holds_no_run_is_named(command: str, tmp_path: Path) -> None:
    texts = ["nice"] if command == "predict" else []
    assert f"{tmp_path}: is not a run's directory" in _refused(2, command, tmp_path, *texts)


def test_unfinished_run_is_told_apart(experiment: MakeExperiment, tmp_path: Path) -> None:
    run = experiment()
    assert run.attempt(StopWhen(lambda asked: True)) is not None
    assert "is not completed yet" in _refused(2, "evaluate", run.run_dir.path)
    assert "is not completed yet" in _refused(2, "digest", run.run_dir.path)
    for path in run.run_dir.checkpoints.iterdir():
        path.unlink()
    assert "no epoch is saved yet" in _refused(1, "predict", run.run_dir.path, "nice")


def test_damaged_files_of_a_run_are_named(experiment: MakeExperiment) -> None:
    run = experiment(training__epochs=1)
    run.complete()
    run.run_dir.best_weights.write_bytes(run.run_dir.best_weights.read_bytes()[:-5])
    assert "best.ckpt: is truncated or altered" in _refused(1, "predict", run.run_dir.path, "nice")
    run.run_dir.result_file.write_text("{}")
    assert "result.json: is not a valid record" in _refused(1, "evaluate", run.run_dir.path)
    run.run_dir.result_file.write_text('{"schema_version": 99}')
    assert "has schema version 99, this program reads 1" in _refused(1, "evaluate", run.run_dir.path)
    run.run_dir.config_file.write_text("{")
    assert "config.json: is not a configuration" in _refused(1, "predict", run.run_dir.path, "nice")


def test_prediction_wants_texts_or_a_file_with_its_output(trained: RunDir, tmp_path: Path) -> None:
    table = write_tweets(tmp_path / "in.csv", invented_tweets(5))
    for arguments in ([], ["nice", "--file", table, "--out", "x"], ["--file", table], ["nice", "--out", "x"]):
        assert "predict takes either" in _refused(2, "predict", trained.path, *arguments)
    missing = tmp_path / "nowhere" / "out.csv"
    assert f"No such file or directory: '{missing}'" in _refused(
        1, "predict", trained.path, "--file", table, "--out", missing
    )
    assert "nothing.csv: no such file" in _refused(
        1, "predict", trained.path, "--file", tmp_path / "nothing.csv", "--out", tmp_path / "o.csv"
    )


def test_results_that_cannot_be_written_are_named(small_run_file: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert "cannot be written" in _refused(1, "train", small_run_file, "--results", tmp_path / "file" / "results")


def test_run_directory_of_another_configuration_is_refused(
    small_run_file: Path, trained: RunDir, tmp_path: Path
) -> None:
    from sentiment.config_file import load_config

    run_dir = Results(tmp_path).run_dir(load_config(small_run_file).run_id)
    run_dir.path.mkdir(parents=True)
    other = trained.read_config().model_copy(update={"seed": 99})
    run_dir.config_file.write_text(other.model_dump_json())
    assert f"belongs to run {other.run_id}, not to" in _refused(1, "train", small_run_file, "--results", tmp_path)


def test_a_process_ends_with_the_same_codes(trained: RunDir, tmp_path: Path) -> None:
    def call(*arguments: object) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "sentiment", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)

    good = call("evaluate", trained.path)
    assert (good.returncode, good.stderr) == (0, "")
    bad = call("digest", tmp_path)
    assert bad.returncode == 2
    assert bad.stdout == ""
    assert bad.stderr.startswith(f"error: {tmp_path}: is not a run's directory")
    assert call("trian").returncode == 2


def test_evaluate_reads_a_file_with_columns_of_other_names(trained: RunDir, tmp_path: Path) -> None:
    file = tmp_path / "others.csv"
    file.write_text("class,tweet\nneg,what an awful day\npos,lovely cake\n")
    options = ["--set", "data.columns.text=tweet", "--set", "data.columns.label=class"]
    done = _run("evaluate", trained.path, "--data", file, "--results", tmp_path / "results", *options)
    assert done.exit_code == 0, done.output
    assert "others.csv, 2 tweets" in done.output
    assert "no column" in _refused(2, "evaluate", trained.path, "--data", file, "--results", tmp_path / "results")


def test_unknown_elmo_model_is_refused_with_the_published_names(tmp_path: Path) -> None:
    message = _refused(1, "elmo-weights", "smal", "--results", tmp_path)
    assert "'smal': published are small, medium, original, original-5.5b" in message
