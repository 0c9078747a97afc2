"""Mistakes that people make at first: each is answered by one message that says what to do, never by a traceback."""

import gzip
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from sentiment.__main__ import app
from sentiment.runs.run_dir import RunDir
from tests.small_runs import invented_tweets

TWEETS = invented_tweets(60)
ROWS = "".join(f'"{text}",{label}\n' for label, text in TWEETS)
FILES = {
    "good.csv": f"text,label\n{ROWS}",
    "five.csv": "text,label\n" + "".join(f'"{text}",{label}\n' for label, text in TWEETS[:5]),
    "one class.csv": "text,label\n" + "".join(f'"{text}",1\n' for _, text in TWEETS),
    "stars.csv": "text,label\n" + "".join(f'"{text}",{1 + n % 5}\n' for n, (_, text) in enumerate(TWEETS)),
    "words.csv": "text,label\n" + "".join(f'"{text}",{("nein", "ja")[label]}\n' for label, text in TWEETS),
    "two texts.csv": "a,b,label\n" + "".join(f'"{text}","{text} so",{label}\n' for label, text in TWEETS),
    "no text.csv": "n,label\n" + "".join(f"{n},{n % 2}\n" for n in range(60)),
    "twice.csv": f"text,text,label\n{''.join(f'a {n} b,c,{n % 2}' + chr(10) for n in range(60))}",
    "empty.csv": "",
    "only a header.csv": "text,label\n",
    "notes.xlsx": "PK",
    "tweets": ROWS,
    "not.parquet": "PAR1",
    "not.zip": "PK",
    "tab.yaml": "model:\n\thidden_size: 3\n",
    "list.yaml": "- a\n",
    "twice.yaml": "seed: 1\nseed: 2\n",
}

SMOKE = ("train", "smoke", "--results", "r")
MISTAKES = [
    # On runs and fields
    (("train", "smok"), 2, "configs/runs/smok.yaml: no such file; configs/runs has: attention"),
    (("train", "smok.yaml"), 2, "smok.yaml: no such file"),
    ((*SMOKE, "--set", "model.hiden_size=32"), 2, "did you mean 'hidden_size'?"),
    ((*SMOKE, "--set", "model.hidden_size=big"), 2, "model.hidden_size = 'big'"),
    ((*SMOKE, "--set", "seed"), 2, "must look like section.field=value"),
    ((*SMOKE, "--set", "seed="), 2, "seed = None"),
    ((*SMOKE, "model.cell=rnn"), 2, "'lstm' or 'gru'"),
    ((*SMOKE, "hidden_size=3"), 2, "hidden_size: unknown key"),
    ((*SMOKE, "--reslts=x"), 2, "reslts: unknown key"),
    ((*SMOKE, "--dry-run"), 2, "--dry-run: no such option"),
    ((*SMOKE, "runtime.device=cuda:63"), 2, "valid are 'auto' and 'cpu'"),
    ((*SMOKE, "data.folds=5"), 2, "data.fold is None; with data.folds=5 it must be 1 to 5"),
    ((*SMOKE, "data.test_fraction=0.95"), 2, "otherwise no row is left to train on"),
    (("train", "tab.yaml"), 2, "tab.yaml: is not valid YAML"),
    (("train", "list.yaml"), 2, "must hold a mapping of sections, found list"),
    (("train", "twice.yaml"), 2, 'duplicate key "seed"'),
    (("train", "folder"), 2, "folder"),
    # On tables
    ((*SMOKE, "--data", "nothing.csv"), 1, "nothing.csv: no such file"),
    ((*SMOKE, "--data", "sentiment14"), 1, "sentiment14: no such file; valid: sample, sentiment140"),
    ((*SMOKE, "--data", "folder"), 1, "is a directory; name a file in it"),
    ((*SMOKE, "--data", "notes.xlsx"), 1, "error: notes.xlsx: "),
    ((*SMOKE, "--data", "tweets"), 1, "valid endings: .csv"),
    ((*SMOKE, "--data", "empty.csv"), 1, "empty.csv: is empty"),
    ((*SMOKE, "--data", "only a header.csv"), 1, "only a header.csv: holds no rows"),
    ((*SMOKE, "--data", "not.parquet"), 1, "is not a valid Parquet file"),
    ((*SMOKE, "--data", "utf16.csv"), 1, "is in UTF-16; save it as UTF-8"),
    ((*SMOKE, "--data", "cut.csv.gz"), 1, "cut.csv.gz"),
    ((*SMOKE, "--data", "five.csv"), 1, "or give more tweets"),
    ((*SMOKE, "--data", "one class.csv"), 1, "the train part has 50 positive and 0 negative tweets"),
    ((*SMOKE, "--data", "stars.csv"), 2, "--positive 4 --positive 5 --negative 1 --negative 2"),
    ((*SMOKE, "--data", "words.csv"), 2, "labels whose meaning is not known: 'nein' (30), 'ja' (30)"),
    ((*SMOKE, "--data", "words.csv", "--positive", "ja"), 1, "unknown label 'nein'"),
    ((*SMOKE, "--data", "two texts.csv"), 2, "name it with --text-column"),
    ((*SMOKE, "--data", "no text.csv"), 2, "no column can hold the texts"),
    ((*SMOKE, "--data", "twice.csv"), 2, "several columns are called 'text'"),
    ((*SMOKE, "--data", "good.csv", "--text-column", "txt"), 2, "no column 'txt'; the file has 'text'"),
    ((*SMOKE, "--data", "good.csv", "--label-column", "7"), 2, "no column 7; there are 2, counted from 0"),
    ((*SMOKE, "--data", "good.csv", "--positive", "0"), 1, "good.csv:3: unknown label '1'"),
    ((*SMOKE, "--set", "training.learning_rate=.inf"), 2, "learning_rate"),
    # On models
    (("predict", "nowhere", "nice"), 2, "no such directory; `train` prints a run's directory"),
    (("predict", "folder", "nice"), 2, "is not a run's directory"),
    (("predict", "model.zip", "nice"), 2, "no such file; `sentiment export RUN model.zip` writes one"),
    (("predict", "not.zip", "nice"), 1, "is no model that `sentiment export RUN FILE.zip` wrote"),
    (("predict", "RUN", "nice", "--with", "best"), 2, "valid are network, baseline, both"),
    (("predict", "RUN", "nice", "--with", "seeds"), 2, "--with seeds: valid are network, baseline, both"),
    (("predict", "RUN", "nice", "--format", "json"), 2, "valid are text, csv, jsonl"),
    (("predict", "RUN", "--file", "good.csv"), 2, "--file IN with --out OUT"),
    (("predict", "RUN", "--file", "good.csv", "--out", "good.csv"), 2, "give --out another name"),
    (("predict", "RUN", "--file", "good.csv", "--out", "o", "--text-column", "x"), 2, "has no column 'x'"),
    (("predict", "RUN", "--file", "good.csv", "--out", "no/o.csv"), 1, "No such file or directory"),
    (("evaluate", "RUN", "--data", "words.csv"), 2, "labels whose meaning is not known"),
    (("predict", "RUN"), 2, "predict takes either tweets in quotes, or -"),
    (("predict", "RUN", "nice", "--text-column", "text"), 2, "--text-column names a column of --file"),
    (("evaluate", "folder"), 2, "folder: is not a run's directory"),
    (("show", "folder"), 2, "folder: is not a run's directory"),
    (("export", "RUN", "model.pkl"), 2, "name it model.zip"),
    (("export", "nowhere", "model.zip"), 2, "no such directory"),
    (("prepare", "elmo", "tiny5"), 1, "tiny5"),
    (("prepare", "vectors", "encoder"), 2, "encoder: reads no learned vectors"),
    (("prepare", "encode", "smoke"), 2, "reads no cached ELMo vectors"),
    # On grids and the report
    (("submit", "vaderr"), 2, "configs/grids/vaderr.yaml: no such file; configs/grids has: attention"),
    (("submit", "smoke", "--set", "model.hiden=3", "--results", "r"), 2, "model.hiden: unknown key"),
    (("status", "smoke", "--results", "r"), 2, "smoke: is no grid in r/runs; there are none yet"),
    (("status", "--log", "some", "--results", "r"), 2, "some: neither a grid nor a run in r/runs; there are no"),
    (("cancel", "--results", "r"), 2, "cancel takes names of grids, or run ids"),
    (("rerun", "some", "--results", "r"), 2, "some: neither a grid nor a run"),
    (("report", "some", "--results", "r"), 2, "some"),
]


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("desk")
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "utf16.csv").write_text(FILES["good.csv"], encoding="utf-16")
    (folder / "cut.csv.gz").write_bytes(gzip.compress(FILES["good.csv"].encode())[:-20])
    (folder / "folder").mkdir()
    return folder


@pytest.fixture
def desk(tables: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, in which the tables lie."""
    monkeypatch.chdir(tables)
    return tables


@pytest.mark.parametrize(("arguments", "code", "said"), MISTAKES, ids=[" ".join(one[0]) for one in MISTAKES])
def test_mistake_is_answered_by_one_message_that_says_what_to_do(
    desk: Path, trained: RunDir, arguments: tuple[str, ...], code: int, said: str
) -> None:
    words = [str(trained.path) if word == "RUN" else word for word in arguments]
    done = CliRunner().invoke(app, words)
    assert "Traceback" not in done.output
    assert isinstance(done.exception, SystemExit), done.exception
    assert (done.exit_code, said in done.output) == (code, True), done.output
    assert done.output.count("error: ") == 1
    assert len(done.output.splitlines()) <= 3
    assert not list(desk.glob("r/runs/single/*/run.json"))


@pytest.mark.usefixtures("desk")
def test_several_mistakes_are_told_at_once() -> None:
    changes = ("model.hidden_size=big", "training.epochs=0", "model.colour=red")
    done = CliRunner().invoke(app, [*SMOKE, *changes])
    assert done.exit_code == 2
    for name in ("model.hidden_size = 'big' (an override)", "training.epochs = 0", "model.colour: unknown key"):
        assert name in done.output


def test_completed_run_without_its_weights_says_how_to_get_them_and_not_to_use_it(
    trained: RunDir, tmp_path: Path
) -> None:
    copy = RunDir(tmp_path / "runs" / "single" / trained.path.name)
    for file in (one for one in trained.path.rglob("*") if one.is_file()):
        target = copy.path / file.relative_to(trained.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    copy.best_weights.unlink()
    done = CliRunner().invoke(app, ["predict", str(copy.path), "nice", "--with", "network"])
    assert done.exit_code == 1
    assert "bring them back, or move the directory away to train the run anew" in done.output


def test_table_that_pandas_wrote_with_its_index_is_understood(tmp_path: Path) -> None:
    table = pd.DataFrame({"said": [text for _, text in TWEETS], "mood": [("sad", "happy")[one] for one, _ in TWEETS]})
    table.to_csv(tmp_path / "pandas.csv")
    done = CliRunner().invoke(app, ["data", str(tmp_path / "pandas.csv"), "--results", str(tmp_path / "r")])
    assert "columns: {text: said, label: mood}" in done.output
