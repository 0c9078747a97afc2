"""`sentiment report --verify` finds edits of a study, and nothing else."""

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sentiment.runs.records import Result, RunRecord
from sentiment.runs.run_dir import RunDir
from tests.commands import invoke, refused
from tests.damage.damages import replace
from tests.damage.study import Study, renew_digest
from tests.small_runs import stored

pytestmark = pytest.mark.slow


def _completed(study: Study, rng: random.Random) -> RunDir:
    return RunDir(rng.choice(sorted(study.results.runs.glob("*/*/result.json"))).parent)


def _digit(path: Path, rng: random.Random) -> Path:
    """Replace one digit of a text by another one."""
    text = path.read_bytes()
    at = rng.choice([match.start() for match in re.finditer(rb"\d", text)])
    other = rng.choice([digit for digit in b"0123456789" if digit != text[at]])
    replace(path, text[:at] + bytes([other]) + text[at + 1 :])
    return path


def _number(path: Path, rng: random.Random) -> Path:
    """Change one number of a JSON file, at any depth."""
    record = json.loads(path.read_bytes())
    numbers: list[tuple[Any, Any]] = []

    def collect(value: Any) -> None:
        for key, inner in list(value.items() if isinstance(value, dict) else enumerate(value)):
            if isinstance(inner, dict | list):
                collect(inner)
            elif isinstance(inner, int | float) and not isinstance(inner, bool):
                numbers.append((value, key))

    collect(record)
    container, key = rng.choice(numbers)
    container[key] += rng.choice([1, 0.01]) if isinstance(container[key], float) else 1
    replace(path, json.dumps(record).encode())
    return path


def _change_one(path: Path, column: str, change: Callable[[Any], Any], rng: random.Random) -> Path:
    """Change one value of a column of a Parquet file."""
    table = pq.read_table(path)
    values = table[column].to_pylist()
    row = rng.randrange(len(values))
    values[row] = change(values[row])
    path.unlink()
    index = table.column_names.index(column)
    pq.write_table(table.set_column(index, column, pa.array(values, table.schema.field(column).type)), path)
    return path


def _label(study: Study, rng: random.Random) -> Path:
    path = _completed(study, rng).predictions_file
    return _change_one(path, "label", lambda label: 1 - label, rng)


def _with_new_digest(study: Study, rng: random.Random) -> Path:
    """Turn a label round and write the digest of the edited file into the result, whose seal is right again."""
    run_dir = _completed(study, rng)
    _change_one(run_dir.predictions_file, "label", lambda label: 1 - label, rng)
    renew_digest(run_dir)
    return run_dir.path


def _better_score(study: Study, rng: random.Random) -> Path:
    """Claim one more tweet that is right, under a right seal."""
    run_dir = _completed(study, rng)
    result = stored(run_dir, Result)
    kind = rng.choice(sorted(result.scores))
    metrics = result.scores[kind]["test"]
    better = metrics.model_copy(update={"accuracy": metrics.accuracy + (1 if metrics.accuracy < 1 else -1) / metrics.n})
    scores = result.scores | {kind: result.scores[kind] | {"test": better}}
    run_dir.write_record(result.model_copy(update={"scores": scores}))
    return run_dir.path


def _weights_of_another_seed(study: Study, rng: random.Random) -> Path:
    run_dir = _completed(study, rng)
    others = [path for path in study.results.runs.glob("*/*/checkpoints/best.ckpt") if path != run_dir.best_weights]
    replace(run_dir.best_weights, rng.choice(sorted(others)).read_bytes())
    return run_dir.best_weights


def _text_of_a_tweet(study: Study, rng: random.Random) -> Path:
    fingerprint = stored(_completed(study, rng), RunRecord).data_fingerprint
    path = study.results.corpus_dir(fingerprint) / "tweets.parquet"
    return _change_one(path, "text", lambda text: text + " indeed", rng)


# Each edit changes the study, and returns the file or folder that the answer must name.
EDITS: dict[str, Callable[[Study, random.Random], Path]] = {
    "label swapped": _label,
    "label swapped, with a new digest": _with_new_digest,
    "better score, with a new seal": _better_score,
    "weights of another seed": _weights_of_another_seed,
    "configuration edited": lambda study, rng: _number(_completed(study, rng).config_file, rng).parent,
    "metric log edited": lambda study, rng: _digit(_completed(study, rng).metrics_file, rng),
    "tweet edited": _text_of_a_tweet,
}


@pytest.mark.parametrize("name", EDITS)
def test_edit_is_found_and_its_file_is_named(study: Study, name: str) -> None:
    study.renew()
    edited = EDITS[name](study, random.Random(name))
    assert str(edited.relative_to(study.results.root.parent)) in refused(
        1, "report", "--verify", "--results", study.results.root
    )


def test_untouched_study_is_verified_and_stays_as_it_is(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    study.renew()
    monkeypatch.chdir(study.folder)
    files = {path: path.stat().st_mtime_ns for path in study.results.root.rglob("*") if path.is_file()}
    assert invoke("report", "--verify").exit_code == 0
    assert files == {path: path.stat().st_mtime_ns for path in study.results.root.rglob("*") if path.is_file()}
