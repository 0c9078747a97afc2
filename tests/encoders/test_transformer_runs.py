"""Runs that read a transformer's vectors: of tokens or of tweets, encoded once, exact to resume, used and handed on."""

import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from jobs.job_kinds import JOB_KINDS, missing_for
from report.sections.names import model_name
from sentiment.api import SentimentClassifier
from sentiment.console import silent
from sentiment.data.corpus import open_corpus, prepare_corpus
from sentiment.encoders.pretrained import HubFiles, find_model
from sentiment.encoders.shards import BY_TWEET
from sentiment.encoders.transformer import Transformer
from sentiment.errors import EncoderError, RunDirError
from sentiment.models.baseline import fit_linear_model
from sentiment.predicting.stored import exported_files, model_card, open_run, open_stored, write_archive
from sentiment.runs.run_dir import Results
from sentiment.training.encoding import tweet_vectors
from sentiment.training.stop import RunContext
from tests.encoders.tiny import needs_transformers
from tests.small_runs import Experiment, StopWhen, invented_tweets, small_config, write_tweets

pytestmark = [needs_transformers, pytest.mark.slow]

TWEET: dict[str, Any] = {"encoder__use": "tweet", "model__kind": "linear", "training__epochs": 2}
TOKENS: dict[str, Any] = {"encoder__use": "tokens", "training__epochs": 2}
TUNED: dict[str, Any] = TWEET | {"encoder__use": "finetune", "training__learning_rate": 0.0005}


@pytest.fixture(scope="module")
def tweets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tweets(tmp_path_factory.mktemp("tweets") / "few.csv", invented_tweets(300))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return Results(tmp_path_factory.mktemp("results"))


def _run(tweets: Path, bert: Path, results: Results, name: str = "", **changes: Any) -> Experiment:
    config = small_config(tweets, **{"encoder__model": str(bert), "training__batch_size": 20, **changes})
    return Experiment(config, results, results.run_dir(config.run_id, name or "single"))


@pytest.mark.parametrize("changes", [TWEET, TOKENS, TUNED], ids=str)
def test_a_run_resumes_exactly_reads_what_its_encoder_says_and_says_the_same_of_texts_later(
    changes: dict[str, Any], tweets: Path, bert: Path, results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, cut = (_run(tweets, bert, results, name, **changes) for name in ("whole", "cut"))
    assert cut.attempt(StopWhen(lambda asked: asked >= 10)) is not None
    assert cut.complete() == run.complete()
    stored = pd.read_parquet(run.run_dir.predictions_file).query("part == 'test'")
    corpus = open_corpus(results.corpus_dir(run.record.data_fingerprint))
    table = pd.read_parquet(corpus.path / "tweets.parquet").set_index(corpus.keys)
    texts = table["text"].loc[stored["tweet"]].tolist()
    said = open_stored(run.run_dir.path).model("network").classify_texts(texts).probabilities
    # Vectors of frozen ones came from the cache, in half the digits. What is tuned has learned little, but something.
    tolerance = 1e-6 if run.config.finetunes else 2e-3
    assert abs(said[:, 1] - stored["network_positive"]).max() < tolerance
    assert not run.config.finetunes or said.max() - said.min() > 10 * tolerance
    write_archive(exported_files(open_run(run.run_dir.path)), tmp_path / "model.zip")
    with pytest.raises(EncoderError, match=r"encoder './bert': bert holds no whole model"):
        open_stored(tmp_path / "model.zip", tmp_path).model("network")
    monkeypatch.chdir(bert.parent)
    assert (open_stored(tmp_path / "model.zip").model("network").classify_texts(texts).probabilities == said).all()
    assert "`./bert`, which is not in the file; licence: not known" in model_card(open_run(run.run_dir.path))


def test_a_grid_encodes_in_one_job_and_the_report_names_the_encoder(tweets: Path, bert: Path, results: Results) -> None:
    tweet, tokens = (_run(tweets, bert, results, **changes).config for changes in (TWEET, TOKENS))
    assert JOB_KINDS["cache"].needed_for([tweet, tokens, small_config(tweets)], results) == [tweet, tokens]
    assert model_name(tweet) == "bert (tweet vectors) + linear classifier"
    assert model_name(tokens) == "bert (token vectors) + BiLSTM 6"
    assert missing_for([tweet, tokens], results) == []


def test_an_encoder_reads_words_in_their_case_which_the_baseline_ignores(bert: Path, tmp_path: Path) -> None:
    rows = [(label, text.title()) for label, text in invented_tweets(300)]
    tweets, results = write_tweets(tmp_path / "title.csv", rows), Results(tmp_path / "results")
    probabilities = []
    for config in (_run(tweets, bert, results, **TWEET).config, small_config(tweets)):
        corpus = prepare_corpus(config.data, results)
        assert any(word.istitle() for word in corpus.types) == (config.encoder is not None)
        probabilities.append(fit_linear_model(corpus, silent)[0].classify(corpus).probabilities)
    assert probabilities[0] == pytest.approx(probabilities[1], abs=1e-6)


@pytest.mark.parametrize(("name", "tells_apart"), [("roberta", True), ("bert", False)])
def test_capitals_reach_an_encoder_in_training_and_later_and_its_tokeniser_decides_what_they_are(
    name: str, tells_apart: bool, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    folder = request.getfixturevalue(name)
    rows = [(label, text.title()) for label, text in invented_tweets(300)]
    run = _run(write_tweets(tmp_path / "title.csv", rows), folder, Results(tmp_path), **TWEET)
    run.complete()
    corpus = open_corpus(run.results.corpus_dir(run.record.data_fingerprint))
    text = str(pd.read_parquet(corpus.path / "tweets.parquet")["text"][0])
    encoder = run.config.any_encoder
    files = find_model(run.config, run.results)
    assert encoder
    assert isinstance(files, HubFiles)
    capital, small = Transformer(files).encode([text.split(), text.lower().split()], [BY_TWEET])[BY_TWEET]
    assert torch.equal(capital, small) is not tells_apart
    read, _ = tweet_vectors(RunContext(run.config, run.results, run.run_dir), encoder, corpus, files)
    torch.testing.assert_close(read.gather(np.zeros(1, np.int64), 1)[BY_TWEET][0, 0], capital, atol=2e-3, rtol=0)
    network = open_stored(run.run_dir.path).model("network")
    said = network.classify_texts([text, text.lower()]).probabilities
    assert bool((said[0] != said[1]).any()) is tells_apart


def test_another_model_in_the_folder_is_noticed(tweets: Path, bert: Path, results: Results, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(bert, tmp_path / "bert"))
    run = _run(tweets, copy, results, "noticed", **TWEET)
    run.complete()
    assert run.record.encoder is not None
    assert "transformers" in run.record.attempts[-1].versions
    encoder = run.record.encoder.model_copy(update={"licence": "mit"})
    run.run_dir.write_record(run.record.model_copy(update={"encoder": encoder}))
    assert run.record.encoder != run.result.encoder
    run.complete()  # whose weights are the same under another licence
    (copy / "special_tokens_map.json").write_text("{}")
    with pytest.raises(RunDirError, match="before its encoder changed"):
        run.attempt()
    with pytest.raises(RunDirError, match="was trained with other weights than"):
        open_stored(run.run_dir.path).model("network")
    shutil.rmtree(copy)
    run.complete()
    assert run.said[-1] == "the run is already completed"


@pytest.mark.slow
def test_classifier_takes_a_model_in_a_folder_of_its_own_and_is_stored_with_it(bert: Path) -> None:
    fields = {"encoder__model": str(bert), "encoder__use": "finetune", "model__kind": "linear", "training__epochs": 1}
    texts, labels = [f"{'good' if n % 2 else 'bad'} day {n}" for n in range(200)], [n % 2 for n in range(200)]
    fitted = SentimentClassifier("rnn", choice="network", **fields).fit(texts, labels)
    again = pickle.loads(pickle.dumps(fitted))
    assert again.predict_proba(texts[:5]).tolist() == fitted.predict_proba(texts[:5]).tolist()
