"""One damaged file stops nothing: each command names it and does the rest."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import RootModel

from sentiment.files import write_atomically
from sentiment.runs.records import RunRecord
from sentiment.runs.run_dir import sealed
from sentiment.training.checkpoint import read_checkpoint, write_checkpoint
from tests.damage.damages import replace
from tests.damage.study import Study
from tests.damage.trials import Answer, damage_once, good_answers, wrong_answers
from tests.limits import limit
from tests.small_runs import stored, unsealed_json

pytestmark = pytest.mark.slow
Value = dict[str, Any]
Change = Callable[[Value], object]


@pytest.fixture(scope="module")
def good(study: Study) -> dict[str, Answer]:
    return good_answers(study)


def _without_validation_metrics(result: Value) -> None:
    for metrics in result["scores"].values():
        metrics.pop("validation")


CHANGES: dict[str, tuple[str, Change]] = {
    "no validation metrics": ("completed/result.json", _without_validation_metrics),
    "a check list without a model": ("completed/result.json", lambda result: result["check_list"].pop("both")),
    "no index in a plan": ("runs/search/grid.json", lambda plan: plan["runs"].pop(0)),
    "a metric that is not measured": ("runs/mine/grid.json", lambda plan: plan.update(metric="f1")),
    "a folder as a run's name": ("runs/mine/grid.json", lambda plan: plan["runs"][2].update(run_id="../x")),
    "a ranking of another rung": ("runs/search/rung-0.json", lambda ranking: ranking.update(rung=1)),
    "a ranking of unknown trials": ("runs/search/rung-0.json", lambda ranking: ranking["trials"][0].update(run_id="x")),
    "negative attempts": ("stopped/start.json", lambda start: start.update(number=-1)),
    "another submission": ("slurm/mine/*/submission.json", lambda submission: submission.update(id="00007-train-0")),
    "a number that was cancelled": ("slurm/mine/*/cancelled.json", lambda cancelled: cancelled.update(ids=[1])),
    "a number for a class": ("added/*/teacher.json", lambda added: added["predictions"].update({"0": 1})),
}


def _file(study: Study, pattern: str) -> Path:
    """The first file of a pattern, relative to the results; it may begin with the name of a run, or `corpus`."""
    corpus = study.results.corpus_dir(stored(study.run_dir(study.completed), RunRecord).data_fingerprint)
    names = {"completed": f"runs/{study.completed}", "stopped": f"runs/{study.stopped}"}
    names["corpus"] = str(corpus.relative_to(study.results.root))
    first, _, rest = pattern.partition("/")
    path = next(study.results.root.glob(f"{names.get(first, first)}/{rest}"))
    return path.relative_to(study.results.root)


@pytest.mark.parametrize("name", CHANGES)
def test_record_with_an_odd_field_is_named(study: Study, good: dict[str, Answer], name: str) -> None:
    pattern, change = CHANGES[name]
    study.renew()
    file = _file(study, pattern)
    record = unsealed_json(study.results.root / file)
    change(record)
    write_atomically(study.results.root / file, sealed(RootModel(record)))  # so that the field is looked at
    assert wrong_answers(study, good, file) == {}


@pytest.mark.parametrize(
    ("pattern", "content"),
    [
        ("stopped/metrics.jsonl", b'{"kind": "epoch"}\n'),
        ("stopped/metrics.jsonl", b'{"kind": "epoch", "step": 1, "epoch": 1, "validation": {"loss": "high"}}\n'),
        ("stopped/metrics.jsonl", b'"x"\n'),
        ("completed/metrics.jsonl", b""),
        ("added/*/teacher.json", b'{"file": "t'),
        ("slurm/mine/*/configs.jsonl", b"{}\n"),
        ("slurm/mine/*/cancelled.json", b"7\n"),
        ("corpus/keys.npy", b""),
    ],
)
def test_file_with_other_content_is_named(study: Study, good: dict[str, Answer], pattern: str, content: bytes) -> None:
    study.renew()
    file = _file(study, pattern)
    replace(study.results.root / file, content)
    assert wrong_answers(study, good, file) == {}


def _with_other_weights(state: Value) -> None:
    state["model"] = {"other": next(iter(state["model"].values()))}


@pytest.mark.parametrize(
    ("pattern", "change"),
    [
        ("completed/checkpoints/best.ckpt", lambda state: state.pop("weights")),
        ("completed/checkpoints/best.ckpt", lambda state: state.update(weights=[1])),
        ("stopped/checkpoints/step-*.ckpt", lambda state: state.clear()),
        ("stopped/checkpoints/step-*.ckpt", lambda state: state.update(step="x")),
        ("stopped/checkpoints/step-*.ckpt", _with_other_weights),
    ],
)
def test_checkpoint_with_a_right_checksum_and_other_content_is_named(
    study: Study, good: dict[str, Answer], pattern: str, change: Change
) -> None:
    """A run resumes from its older checkpoints, or from the beginning, and ends with the same bits."""
    study.renew()
    file = _file(study, pattern)
    path = study.results.root / file
    state = read_checkpoint(path)
    change(state)
    path.unlink()
    write_checkpoint(path, state)
    assert wrong_answers(study, good, file) == {}


@pytest.mark.more
@pytest.mark.parametrize("number", range(int(os.environ.get("FUZZ", 60))))
def test_random_damage_is_named_or_changes_no_answer(study: Study, good: dict[str, Answer], number: int) -> None:
    damage, file = damage_once(study, number)
    assert wrong_answers(study, good, file) == {}, damage


def test_closed_output_is_no_error(study: Study) -> None:
    study.renew()
    command = [sys.executable, "-m", "sentiment", "status", "--results", str(study.results.root)]
    shell = ["/bin/sh", "-c", 'exec "$@" >&-', "sh", *command]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(shell, stderr=subprocess.PIPE, text=True, check=False, timeout=limit(120), env=environ)
    assert done.returncode in (0, 1, 3), done.stderr
    assert "Traceback" not in done.stderr
