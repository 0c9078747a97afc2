"""Names of runs: a directory, `last`, an id or its beginning; each command resolves them alike."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentiment.errors import UsageError
from sentiment.runs.run_dir import Results, RunDir, find_run, find_runs, name_of, short_id
from tests.commands import refused, succeed
from tests.invented import Study, write_unfinished

IDS = st.lists(st.from_regex("(lstm|gru)(16)?-s[12]-[0-9a-f]{8}", fullmatch=True), min_size=1, max_size=6, unique=True)


@given(IDS, st.data())
def test_beginning_of_an_id_names_the_only_run_that_begins_so(ids: list[str], data: st.DataObject) -> None:
    wanted = data.draw(st.sampled_from(ids))
    text = data.draw(st.sampled_from([wanted, short_id(wanted)]))
    name = text[: data.draw(st.integers(1, len(text)))]
    meant = {run_id for run_id in ids if run_id.startswith(name) or short_id(run_id).startswith(name)}
    with tempfile.TemporaryDirectory() as folder:
        results = Results(Path(folder))
        for run_id in ids:
            results.run_dir(run_id).path.mkdir(parents=True)
        if len(meant) == 1:
            assert find_runs(name, results) == [results.run_dir(wanted)]
            assert find_runs(f"single/{name}", results) == [results.run_dir(wanted)]
        else:
            with pytest.raises(UsageError, match=f"{name}: begins the ids of {len(meant)} runs"):
                find_run(name, results)


@pytest.fixture
def copied(trained: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    """A trained run in the default results folder, beside an older one that is not completed, also in a grid."""
    monkeypatch.chdir(tmp_path)
    run_dir = Results().run_dir(trained.path.name)
    shutil.copytree(trained.path, run_dir.path)
    for other in (Results().run_dir("older-s1-01234567"), Results().run_dir(trained.path.name, "a_grid")):
        other.path.mkdir(parents=True)
        other.record_file.touch()
        os.utime(other.record_file, (1, 1))
    return run_dir


def test_runs_behind_a_link_are_of_the_folder_that_has_the_link(tmp_path: Path) -> None:
    results = Results(tmp_path / "results")
    results.root.mkdir()
    (tmp_path / "scratch" / "runs").mkdir(parents=True)
    results.runs.symlink_to(tmp_path / "scratch" / "runs")
    run_dir = results.run_dir("run-0", "some")
    assert (run_dir.results, run_dir.grid) == (results, "some")


def test_last_is_the_run_that_was_trained_last_whatever_the_times_of_its_files(tmp_path: Path) -> None:
    study = Study(Results(tmp_path / "results"), {})
    days = {16: "2026-01-02", 8: "2026-01-03", 32: "2026-01-01"}
    for mtime, (size, day) in enumerate(days.items()):
        config = study.config({"model.hidden_size": size})
        last = {"start": f"{day}T10:00:00+00:00", "end": None, "reason": None}
        write_unfinished(study.run_dir(config), config, last)
        os.utime(study.run_dir(config).record_file, (mtime, mtime))
    assert find_run("last", study.results).read_config().model.hidden_size == 8


def test_every_name_of_a_run_is_taken_by_every_command(copied: RunDir) -> None:
    run_id = copied.path.name
    assert name_of(copied) == short_id(run_id)
    for name in (copied.path, copied.path.resolve(), "last", run_id, short_id(run_id), short_id(run_id)[:5]):
        assert "positive" in succeed("predict", name, "lovely")
        assert short_id(run_id) in succeed("status", name)
    for command in (
        ["predict", "nosuch", "x"],
        ["evaluate", "nosuch"],
        ["rerun", "nosuch", "--local"],
        ["cancel", "nosuch"],
    ):
        assert "nosuch: neither a grid nor a run in results/runs" in refused(2, *command)
    assert "holds several runs; name one of them: " in refused(2, "evaluate", "single")
    assert "is not in elsewhere; --results names its folder" in refused(
        2, "cancel", copied.path, "--results", "elsewhere"
    )
