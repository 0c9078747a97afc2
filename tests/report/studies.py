"""The invented study that the expected report and the browser see: every section, and runs in every state.

`python -m tests.report.studies` writes the expected report anew.
"""

import re
import tempfile
from pathlib import Path
from typing import Any

from sentiment.runs.run_dir import Results, RunDir
from tests.invented import UNFINISHED, attempt, combinations, halve, write_unfinished
from tests.report.made_up import PARTS, Study

EXPECTED = Path(__file__).with_name("report.md")
# What changes for other reasons than the report.
_SCRUBBED = (
    (r"/[^ `']*/results\b", "RESULTS"),
    (r"(s[0-9]+)-[0-9a-f]{8}\b", r"\1-HASH"),
    (r"\b[0-9a-f]{12}\b", "FINGERPRINT"),
    (r"(sentiment-grids |sentiment_grids-)[0-9][^-,\s]*", r"\1VERSION"),
)
LABELS: list[int | None] = [100, 200, None]
RATES, DROPOUTS = [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.003], [0.0, 0.1, 0.2, 0.3, 0.4]


def write_study(results: Results, trials: int = 6, test_tweets: int = PARTS["test"]) -> Study:
    """Write all grids, one of them a random search of so many trials."""
    study = Study(results, parts=PARTS | {"test": test_tweets})
    _write_rnn(study)
    _write_cleaning(study)
    _write_search(study, trials)
    _write_attention(study)
    _write_elmo(study)
    return study


def _write_rnn(study: Study) -> None:
    """Two cells and widths; of its runs one failed, one was preempted, one died, one has never begun."""
    parameters: dict[str, list[Any]] = {"model.cell": ["lstm", "gru"], "model.hidden_size": [16, 64], "seed": [1, 2, 3]}
    findings: list[dict[str, Any]] = [
        {"claim": "A GRU is as good as an LSTM.", "as_good_as": "lstm", "within": 40, "published": "hardly differ"},
        {"claim": "A GRU needs fewer epochs.", "better_than": "lstm", "measure": "epochs"},
    ]
    hypotheses = [
        {"hypothesis": {"setting": "model.cell", "values": "gru"} | finding, "stated_at": "2025-12-01T00:00:00+00:00"}
        for finding in findings
    ]
    replicates = {"data": "sentiment140", "source": "https://example.org/a-study"}
    stated = {"hypotheses": hypotheses, "replicates": replicates}
    configs = study.write_grid("rnn", "Which cell and width suit tweets?", combinations(parameters), **stated)
    *completed, failed, stopped, died, _missing = configs
    for config in completed:
        study.complete(config, "rnn", skill=1.0 + 0.01 * config.model.hidden_size)
    _add(study, study.run_dir(completed[0], "rnn"))
    for config, last in zip((failed, stopped, died), UNFINISHED, strict=True):
        write_unfinished(study.run_dir(config, "rnn"), config, last)


def _add(study: Study, run_dir: RunDir) -> None:
    """A language model, and a person who labelled some test tweets."""
    validation, test = study.parts["validation"], study.parts["test"]
    said = {row: float(row % 2) if row % 9 else 0.4 for row in range(validation + test)}
    study.add(run_dir, "llm", said, note="Positive or *negative* <b>tweet</b>?", cost=0.42, seconds=95.0)
    of_anna = {row: float(row % 2) if row % 20 else 1.0 for row in range(validation, validation + 80)}
    study.add(run_dir, "Anna", of_anna, annotator=True)


def _write_cleaning(study: Study) -> None:
    skills = {"none": 1.2, "keep_negations": 1.1, "all": 0.7}
    emptied = {"none": 0, "keep_negations": 2, "all": 5}
    runs = combinations({"data.text.stop_words": skills, "seed": [1, 2]})
    for config in study.write_grid("stop_words", "What do stop words and negations contribute?", runs):
        kind = config.data.text.stop_words
        study.complete(config, "stop_words", skill=skills[kind], emptied=emptied[kind], linear=0.75 * skills[kind])


def _write_search(study: Study, trials: int) -> None:
    values: dict[str, list[Any]] = {"training.learning_rate": [0.0001, 0.001, 0.01]}
    values |= {"model.dropout": [0.0, 0.1, 0.2, 0.3], "model.cell": ["lstm", "gru"], "model.hidden_size": [8, 24]}
    runs = combinations(values)[:: 48 // trials][:trials]
    for config in study.write_grid("sweep", "Which settings are best?", runs, method="random"):
        study.complete(config, "sweep", skill=0.5 + 60 * config.training.learning_rate)


def _write_attention(study: Study) -> None:
    runs = combinations({"model.pooling": ["last", "attention"], "seed": [1, 2]})
    for config in study.write_grid("attention", "Does <b>attention</b> learn faster | sooner?", runs):
        record = {"attempts": [attempt(last_step=20, reason="deadline"), attempt(first_step=15)]}
        study.complete(config, "attention", skill=1.3 if config.model.pooling == "last" else 1.4, **record)


def _write_elmo(study: Study) -> None:
    skills = {"small": 1.6, "original-5.5b": 1.9, "medium": 1.7}
    gpu = attempt(device="NVIDIA H100 80GB HBM3", compute_time={"cpu_seconds": 70, "gpu_seconds": 60})
    runs = combinations({"elmo.model": skills, "seed": [1, 2]})
    for config in study.write_grid("elmo", "Is the larger ELMo worth it?", runs):
        study.complete(config, "elmo", skill=skills[config.elmo.model], attempts=[gpu])


def write_labels(study: Study, skills: dict[tuple[str | None, int | None], float]) -> None:
    """The grid `labels`, whose nets are as good as said of their vectors and number of labels."""
    runs: list[dict[str, Any]] = [
        {"data.train_rows": rows, "embedding.pretrained": vectors, "seed": seed}
        for vectors, rows in skills
        for seed in (1, 2)
    ]
    for config in study.write_grid("labels", "What is a label worth?", runs):
        study.complete(config, "labels", skill=skills[config.embedding.pretrained, config.data.train_rows])


def write_halved(study: Study) -> None:
    """`halving`, of whose thirty trials ten went on to epoch 2 and four to the end; higher rates are better ones."""
    runs = combinations({"training.learning_rate": RATES, "model.dropout": DROPOUTS})
    metric = {"method": "random", "metric": "validation/accuracy"}
    halving = {"epochs": [1, 2], "eta": 3.0}
    run_dirs = []
    for config in study.write_grid("halving", "Which are best?", runs, **metric, halving=halving):
        run_dirs.append(study.complete(config, "halving", skill=0.5 + 200 * config.training.learning_rate))
    halve(study.results, "halving", run_dirs, (1, 2))


def scrubbed(text: str) -> str:
    """The text without what changes, and of each table the first two rows, and those in which something is missing."""
    for pattern, replacement in _SCRUBBED:
        text = re.sub(pattern, replacement, text)
    kept, row = [], 0
    for line in text.splitlines(keepends=True):
        row = row + 1 if line.startswith("|") else 0
        if row <= 4 or "| \u2013 | \u2013" in line:
            kept.append(line)
    return "".join(kept)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        study = write_study(Results(Path(folder) / "results"))
        EXPECTED.write_text(scrubbed(study.report(Path(folder) / "report")), encoding="utf-8")
