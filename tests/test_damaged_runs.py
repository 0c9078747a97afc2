"""Any file of a run may be damaged in any way: commands say which file it is, or answer as if nothing had happened."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from report.compare.findings import analyse
from report.questions.attention import attention
from report.read import load_study
from report.render.charts import Figure
from sentiment.errors import SentimentError
from sentiment.files import sha256_of
from sentiment.runs.records import GridPlan, PlannedRun
from sentiment.runs.run_dir import Results, RunDir
from sentiment.runs.state import judge, read_progress
from tests.commands import invoke
from tests.jobs.grid_files import write_base
from tests.small_runs import Experiment, StopWhen, flip_bit, small_config

pytestmark = pytest.mark.slow

FILES = [
    "config.json",
    "run.json",
    "result.json",
    "metrics.jsonl",
    "vocabulary.txt",
    "predictions.parquet",
    "attention.jsonl",
    "baseline.safetensors",
    "checkpoints/best.ckpt",
]
GRID = "mine"


@dataclass(frozen=True)
class Place:
    """A grid of a completed run, another one like it, and one that was stopped."""

    results: Results
    completed: RunDir
    other: RunDir
    unfinished: RunDir

    @property
    def plan(self) -> GridPlan:
        return self.results.read_grid(GRID)


@pytest.fixture(scope="module")
def place(tweets_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    results = Results(tmp_path_factory.mktemp("damaged"))
    of_all = {"model.pooling": "attention", "training.epochs": 2}
    run_dirs = []
    for seed in (1, 2, 3):
        config = small_config(tweets_file, seed=seed, model__pooling="attention", training__epochs=2)
        run = Experiment(config, results, results.run_dir(config.run_id, GRID))
        assert (run.attempt(StopWhen(lambda asked: asked == 15) if seed == 3 else None) is not None) == (seed == 3)
        run_dirs.append(run.run_dir)
    runs = [
        PlannedRun(index=n, run_id=one.path.name, parameters={"seed": n + 1} | of_all) for n, one in enumerate(run_dirs)
    ]
    base = write_base(results.root.parent / "base", tweets_file)
    settings = {"method": "grid", "metric": "validation/f1", "goal": "maximize", "base": str(base)}
    values = settings | {"name": GRID, "description": "?", "parameters": {"seed": [1, 2, 3]}, "runs": runs}
    results.write_grid(GridPlan.model_validate(values))
    return Place(results, *run_dirs)


@dataclass(frozen=True)
class Answers:
    """What the program says of a run: exit codes, outputs, and what the report takes from it."""

    predict: tuple[int, str]
    evaluate: tuple[int, str]
    state: str
    reason: str
    score: float | None
    problems: str
    reported: str


def _invoke(*arguments: str) -> tuple[int, str]:
    outcome = invoke(*arguments)
    if outcome.exception and not isinstance(outcome.exception, SystemExit):
        raise outcome.exception
    return outcome.exit_code, outcome.output


def _ask(place: Place, run_dir: RunDir) -> Answers:
    progress = read_progress(run_dir, place.plan)
    state = judge(progress)
    try:
        findings = analyse(load_study(place.results, []))
        of_run = [run.completed for run in findings.study.runs if run.run_dir.path == run_dir.path]
        reported = str(of_run[0].result if of_run and of_run[0] else None)
        asked = attention(findings)
        drawn = [block.spec for card in asked.cards for block in card.blocks if isinstance(block, Figure)]
        reported += str(drawn)
        problems = "\n".join([*findings.problems, *asked.problems])
    except SentimentError as error:
        problems, reported = str(error), "nothing"
    return Answers(
        _invoke("predict", str(run_dir.path), "a lovely cake", "so sad", "--with", "both"),  # reads all of its files
        _invoke("evaluate", str(run_dir.path)),
        state.state,
        state.reason,
        progress.score,
        problems,
        reported,
    )


def _check(place: Place, run_dir: RunDir, good: Answers, file: str, swapped: Sequence[str]) -> None:
    """Each answer is the good one, or names the file or at least the run; `status` takes files of other runs."""
    found = _ask(place, run_dir)
    named = (Path(file).name, run_dir.path.name)
    for code, output, expected in ((*found.predict, good.predict), (*found.evaluate, good.evaluate)):
        if (code, output) != expected:
            assert code in (1, 2), output
            assert output.startswith("error: "), output
            assert any(name in output for name in named), output
            assert len(output) < 2_000, output
    if (found.state, found.score) != (good.state, good.score) and file not in swapped:
        assert any(name in found.reason for name in named), found
    if found.reported != good.reported:
        assert any(name in found.problems + found.reason for name in named), found.problems


@pytest.fixture
def mended(place: Place) -> Iterator[Place]:
    saved = place.results.root.parent / "saved"
    shutil.copytree(place.results.runs, saved)
    yield place
    shutil.rmtree(place.results.runs)
    shutil.move(saved, place.results.runs)


DAMAGES: dict[str, Callable[[Path, Path], object]] = {
    "deleted": lambda path, other: path.unlink(),
    "a folder": lambda path, other: (path.unlink(), path.mkdir()),
    "empty": lambda path, other: path.write_bytes(b""),
    "half": lambda path, other: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "no UTF-8": lambda path, other: path.write_bytes(b"\xff\xfe" + path.read_bytes()),
    "of another run": lambda path, other: shutil.copy(other, path),
    "nested": lambda path, other: path.write_bytes(b"[" * 100_000 + b"\n"),
    "an odd object": lambda path, other: path.write_bytes(b'{"schema_version": [1]}\n'),
    "a flipped bit": lambda path, other: flip_bit(path),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", ["completed", "unfinished"])
def test_damaged_file_is_named_or_changes_no_answer(mended: Place, kind: str, damage: str) -> None:
    run_dir: RunDir = getattr(mended, kind)
    good = _ask(mended, run_dir)
    assert good.predict[0] == {"completed": 0, "unfinished": 2}[kind]
    for file in FILES:
        path, other = run_dir.path / file, mended.other.path / file
        if not path.exists() or (kind, damage, file) == ("unfinished", "deleted", "run.json"):
            continue  # it counts as planned then, and goes on when it is begun
        content = path.read_bytes()
        DAMAGES[damage](path, other)
        if damage == "a flipped bit" and file.endswith("json"):
            _ask(mended, run_dir)  # another digit is as good as the one that was there
        else:
            _check(mended, run_dir, good, file, FILES if damage == "of another run" else ["metrics.jsonl"])
        if path.is_dir():
            path.rmdir()
        path.write_bytes(content)


@pytest.mark.parametrize(
    ("column", "value"), [("score", "x"), ("baseline", float("nan")), ("label", -1), ("tweet", None), ("part", "x")]
)
def test_odd_predictions_are_named_by_the_report(mended: Place, column: str, value: Any) -> None:
    run_dir = mended.completed
    table = pq.read_table(run_dir.predictions_file)
    place = table.column_names.index(column)
    odd = pa.array([value] * table.num_rows)
    changed = table.remove_column(place) if value is None else table.set_column(place, column, odd)
    pq.write_table(changed, run_dir.predictions_file)
    result = json.loads(run_dir.result_file.read_text())
    result["files_sha256"]["predictions.parquet"] = sha256_of(run_dir.predictions_file)
    run_dir.result_file.write_text(json.dumps(result))
    code, output = _invoke("evaluate", str(run_dir.path))
    assert code == 0 or "predictions.parquet" in output, output
    findings = analyse(load_study(mended.results, []))
    assert any("predictions.parquet" in problem for problem in findings.problems)
