"""Edits of a study that change what is reported: `python -m tests.damage.edits 200 [SEED]`.

`sentiment report --verify` must find each of them, and nothing in the untouched study.
"""

import json
import random
import re
import sys
import tempfile
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sentiment.runs.records import Result, RunRecord
from sentiment.runs.run_dir import RunDir
from tests.commands import invoke
from tests.damage.damages import replace
from tests.damage.study import Study, build_study, renew_digest
from tests.damage.trials import quick_and_without_slurm
from tests.small_runs import stored


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


def _in_a_file(change: Callable[[Path, random.Random], Path], pattern: str) -> Callable[[Study, random.Random], Path]:
    return lambda study, rng: change(rng.choice(sorted(study.results.root.glob(pattern))), rng)


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


def _predictions(column: str) -> Callable[[Study, random.Random], Path]:
    """Turn one value of a column of predictions round: the other label, or the other class."""
    return lambda study, rng: _change_one(_completed(study, rng).predictions_file, column, lambda one: 1 - one, rng)


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
    "label swapped": _predictions("label"),
    "probability changed": _predictions("network_positive"),
    "probability of the baseline changed": _predictions("baseline_positive"),
    "label swapped, with a new digest": _with_new_digest,
    "better score, with a new seal": _better_score,
    "weights of another seed": _weights_of_another_seed,
    "configuration edited": lambda study, rng: _number(_completed(study, rng).config_file, rng).parent,
    "result edited": _in_a_file(_number, "runs/*/*/result.json"),
    "record edited": _in_a_file(_number, "runs/*/*/run.json"),
    "plan edited": _in_a_file(_number, "runs/*/grid.json"),
    "metric log edited": lambda study, rng: _digit(_completed(study, rng).metrics_file, rng),
    "added predictor edited": _in_a_file(_number, "added/*/*.json"),
    "tweet edited": _text_of_a_tweet,
}


def plant(study: Study, name: str, rng: random.Random) -> str:
    """Make an edit in a fresh copy of the study: what `--verify` gets wrong about it; empty if it is right."""
    study.renew()
    edited = EDITS[name](study, rng)
    done = invoke("report", "--verify", "--results", study.results.root)
    if done.exit_code != 1 or not isinstance(done.exception, SystemExit):
        return f"{edited}: not found: exit code {done.exit_code}, {done.exception!r}: {done.output[-300:]}"
    named = str(edited.relative_to(study.results.root.parent))
    return "" if named in done.output else f"{edited}: not named in {done.output[:1000]}"


def main() -> int:
    """Plant so many edits, in turn; print each that is not found."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    rng = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    missed = 0
    with tempfile.TemporaryDirectory() as folder, quick_and_without_slurm():
        study = build_study(Path(folder))
        for name in islice(cycle(EDITS), number):
            if verdict := plant(study, name, rng):
                missed += 1
                print(f"{name}: {verdict}", flush=True)
    print(f"{number} edits, {missed} missed")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
