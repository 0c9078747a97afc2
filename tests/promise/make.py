"""Writes `1.0.zip`, which all later versions 1.x must read, by version 1.0: `python -m tests.promise.make`.

It holds a table of invented tweets and a results folder: a completed run with an added predictor, a run that was
stopped, a grid, an exported model and a labelled sheet; and what the program is used by, in `public.json`: commands
with their options, fields of configurations with their defaults, and the Python API.
"""

import inspect
import json
import os
import tempfile
import zipfile
from contextlib import chdir
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pandas as pd
import typer

import sentiment
from sentiment.__main__ import app
from sentiment.config import RunConfig
from sentiment.config_file import dotted
from sentiment.runs.records import MODEL_KINDS
from sentiment.runs.run_dir import Results
from tests.commands import succeed
from tests.jobs.grid_files import write_base, write_grid
from tests.small_runs import Experiment, StopWhen, invented_tweets, load_config, write_tweets

FOLDER = Path(__file__).parent
ARCHIVE = FOLDER / "1.0.zip"
PUBLIC = FOLDER / "public.json"
# Copies of the code are of no use to other versions, nor is what W&B's package writes.
_LEFT_OUT = ("code", "report", "wandb")
_STOPPED_AT = 9
TEXTS = ["a lovely cake :)", "the bus was awful", "homework on monday"]


def public() -> dict[str, Any]:
    """All names that users' scripts may rest on."""
    commands = typer.main.get_command(app).commands
    options = {name: sorted(opt for one in command.params for opt in one.opts) for name, command in commands.items()}
    classifier = sentiment.SentimentClassifier
    methods = [getattr(classifier, name) for name in sorted(vars(classifier)) if not name.startswith("_")]
    functions = [sentiment.load, sentiment.train, classifier, *filter(callable, methods)]
    api = {function.__qualname__: [*inspect.signature(function).parameters] for function in functions}
    return {"commands": options, "configuration": dotted(RunConfig().model_dump(mode="json")), "python": api}


def write_study() -> None:
    """Write tweets and results into the current folder."""
    tweets = write_tweets(Path("tweets.csv"), invented_tweets(240))
    base = write_base(Path("configs"), tweets)
    brief = {"training.epochs": 2}
    results = Results()
    succeed("train", base, "--set", "training.epochs=2")
    (run,) = results.runs.glob("single/*")
    stopped = load_config(base, ["training.epochs=2", "seed=7"])
    stop = StopWhen(lambda asked: asked == _STOPPED_AT)
    assert Experiment(stopped, results, results.run_dir(stopped.run_id)).attempt(stop) is not None
    succeed("submit", write_grid(base, {"seed": [1, 2]} | brief), "--local", "--at-once", "1")
    write_tweets(Path("answers.csv"), invented_tweets(240), ("label", "text"))
    succeed("add", "teacher", "answers.csv", "--of", run)
    succeed("export", run, "model.zip")
    new = invented_tweets(60, seed=1)
    write_tweets(Path("new.csv"), new)
    succeed("share", run, "new.csv", "--sheet", "sheet.csv")
    label_of = {text: ("negative", "positive")[label] for label, text in new}
    sheet = pd.read_csv("sheet.csv", encoding="utf-8-sig")
    sheet.assign(label=sheet["text"].map(label_of)).to_csv("sheet.csv", index=False)


def probabilities() -> dict[str, list[list[float]]]:
    """What each model of the completed run in the current folder answers to some texts."""
    (run,) = Results().runs.glob("single/*/result.json")
    return {kind: sentiment.load(run.parent, kind).predict_proba(TEXTS).tolist() for kind in MODEL_KINDS}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, chdir(folder), patch.dict(os.environ, {"SLURM_CONF": ""}):
        write_study()
        answers = probabilities()
        with zipfile.ZipFile(ARCHIVE, "w", zipfile.ZIP_DEFLATED, compresslevel=9, strict_timestamps=False) as archive:
            for path in sorted(Path().rglob("*")):
                if path.is_file() and not {*path.parts[:2]} & {*_LEFT_OUT}:
                    archive.write(path)
    PUBLIC.write_text(json.dumps(public() | {"answers": answers}, indent=1, sort_keys=True) + "\n")
    print(f"{ARCHIVE}: {ARCHIVE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
