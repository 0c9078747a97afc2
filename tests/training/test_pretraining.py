"""Language models: never of held-out text, the same weights however often they are stopped, read by later runs."""

import json
import math
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sentiment.config import RunConfig
from sentiment.config_file import resolve
from sentiment.console import Console, silent
from sentiment.data.corpus import prepare_corpus
from sentiment.data.text import TokenRows
from sentiment.encoders.elmo import LAYERS, ElmoEncoder
from sentiment.encoders.elmo_files import SIZES, read_weights, write_random_model
from sentiment.encoders.models import (
    PretrainedCard,
    PretrainedDir,
    find_model,
    pretraining_request,
)
from sentiment.errors import ConfigError, DataError, DivergedError, EncoderError
from sentiment.files import sha256_of
from sentiment.inference.stored import open_model
from sentiment.runs.records import RunRecord
from sentiment.runs.run_dir import Results
from sentiment.training import pretraining as pretraining_run
from sentiment.training.experiment import run_experiment
from sentiment.training.pretraining import DirectedTweets, LanguageModel, run_pretraining
from sentiment.training.stop import RunContext, Stop, StopRequest
from tests.commands import invoke
from tests.data.made_up import tweets
from tests.encoders.tweets import ODD_TOKENS, Tweets, largest_difference, random_tweets
from tests.small_runs import StopWhen, digest_of, stored, write_tweets

SMALL: dict[str, Any] = {"epochs": 2, "min_count": 1, "batch_size": 32, "held_out": 20, "log_every": 1}
QUIET = Console(lambda _line: None, silent)


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(tmp_path / "results")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_tweets(tmp_path / "tweets.csv", tweets(150))


def _config(table: Path, **changes: Any) -> RunConfig:
    values = {
        "data": {"source": str(table)},
        "elmo": {"model": "pretrained/tiny"},
        "pretraining": SMALL,
        "embedding": {"size": 4},
        "model": {"hidden_size": 4},
        "training": {"epochs": 1},
        "runtime": {"device": "cpu", "threads": 1, "checkpoint": {"every_steps": 2}},
    }
    return resolve(values, {name.replace("__", "."): value for name, value in changes.items()}, "a test")


def _train(config: RunConfig, results: Results, stop: StopRequest | None = None) -> Stop | None:
    return run_pretraining([config], results, stop or StopRequest(), QUIET)


def _dir(config: RunConfig, results: Results) -> PretrainedDir:
    request = pretraining_request(config, results)
    assert request is not None
    return request.run_dir


def _card(config: RunConfig, results: Results) -> PretrainedCard:
    card = _dir(config, results).read_card()
    assert card is not None
    return card


def _digests(run_dir: PretrainedDir) -> tuple[str, str, str]:
    return sha256_of(run_dir.weights_file), sha256_of(run_dir.options_file), sha256_of(run_dir.metrics_file)


def test_a_model_is_trained_once_and_a_run_reads_its_vectors(table: Path, results: Results) -> None:
    config = _config(table)
    assert not _dir(config, results).completed
    with pytest.raises(EncoderError, match=r"'pretrained/tiny': is not trained .* `sentiment prepare pretrain`"):
        find_model(config, results)
    said: list[str] = []
    assert run_pretraining([config, config], results, StopRequest(), Console(said.append, silent)) is None
    assert _dir(config, results).completed
    card = _card(config, results)
    assert [card.facts[name] for name in ("epochs", "held_out_tweets", "init")] == [2, 12, None]
    assert any("perplexity of 12 training tweets that were held out" in line for line in said[-1].splitlines())
    digests = _digests(_dir(config, results))
    run_dir = results.run_dir(config.run_id)
    assert run_experiment(RunContext(config, results, run_dir)) is None
    record, model = stored(run_dir, RunRecord), find_model(config, results)
    assert record.encoder is not None
    assert model is not None
    assert (record.encoder.model, record.encoder.fingerprint) == ("pretrained/tiny", model.fingerprint)
    assert not record.encoder.random
    assert _train(config, results) is None
    assert _digests(_dir(config, results)) == digests


@pytest.mark.slow
def test_a_run_trains_its_model_first_if_it_is_missing_whatever_rung_its_search_is_in(
    table: Path, results: Results, tmp_path: Path
) -> None:
    config, stop = _config(table, training__epochs=2), StopRequest()
    stop.epochs = 1
    run_dir = results.run_dir(config.run_id)
    reason = run_experiment(RunContext(config, results, run_dir, stop))
    assert reason is not None
    assert reason.reason == "paused"
    assert _card(config, results).facts["epochs"] == 2
    record = stored(run_dir, RunRecord)
    assert record.attempts[-1].reason == "paused"
    before = Results(tmp_path / "before")
    _train(config, before)
    whole = [before.run_dir(config.run_id), run_dir]
    for one in whole:
        assert run_experiment(RunContext(config, one.results, one)) is None
    assert digest_of(whole[0]) == digest_of(whole[1])


def test_a_model_that_was_handed_on_without_its_language_model_says_what_is_missing(
    table: Path, results: Results, tmp_path: Path
) -> None:
    config = _config(table)
    _train(config, results)
    run_dir, file = results.run_dir(config.run_id), tmp_path / "model.zip"
    assert run_experiment(RunContext(config, results, run_dir)) is None
    folder = _dir(config, results).path
    said = " ".join(invoke("export", run_dir.path, file).output.split())
    assert "'pretrained/tiny', which is not in it" in said
    assert f"from {folder.parent}: copy that" in said
    table.unlink()
    there = Results(tmp_path / "elsewhere")
    with pytest.raises(EncoderError, match=r"'pretrained/tiny' .*: is not whole in .*elsewhere.*; copy its folder"):
        open_model(file, "network", there)
    shutil.copytree(folder, there.pretrained / folder.name)
    texts = ["a lovely day"]
    wanted = open_model(run_dir.path, "network").read_texts(texts).probabilities
    assert open_model(file, "network", there).read_texts(texts).probabilities.tolist() == wanted.tolist()
    (there.pretrained / folder.name / "card.json").write_bytes(b"{")
    with pytest.raises(EncoderError, match="is not whole in"):
        open_model(file, "network", there)


def test_a_model_that_runs_away_is_told_by_the_field_that_a_user_can_change(table: Path, results: Results) -> None:
    config = _config(table, pretraining__learning_rate=1e30, pretraining__clip=None)
    with pytest.raises(DivergedError, match=r"pretraining\.learning_rate = 1e\+30 is too high"):
        _train(config, results)


def test_perplexity_of_held_out_tweets_falls_and_is_logged_by_tokens(table: Path, results: Results) -> None:
    config = _config(table, pretraining__epochs=8, pretraining__learning_rate=0.01)
    _train(config, results)
    card, (rows, _) = _card(config, results), _dir(config, results).read_epochs()
    assert [row["tokens"] for row in rows] == [card.facts["tokens"] * row["epoch"] for row in rows]
    best, first = rows[card.facts["best_epoch"] - 1]["held_out"], rows[0]["held_out"]
    for direction in ("forward", "backward"):
        assert card.facts[direction] == pytest.approx(math.exp(best[direction]))
        assert best[direction] < first[direction] - 0.3


@pytest.mark.parametrize("when", [5, 13])
def test_a_model_that_was_stopped_anywhere_gets_the_same_bits(table: Path, tmp_path: Path, when: int) -> None:
    whole, stopped = Results(tmp_path / "whole"), Results(tmp_path / "stopped")
    config = _config(table)
    assert _train(config, whole) is None
    attempts = 1
    while _train(config, stopped, StopWhen(lambda asked: asked >= when)) is not None:
        attempts += 1
        assert attempts < 60
    assert attempts > 1
    assert _digests(_dir(config, stopped)) == _digests(_dir(config, whole))


def test_a_model_that_was_killed_before_its_card_gets_the_same_bits(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, killed = Results(tmp_path / "whole"), Results(tmp_path / "killed")
    config = _config(table)
    _train(config, whole)
    with monkeypatch.context() as patch:
        patch.setattr(pretraining_run, "PretrainedCard", lambda **_: sys.exit("killed"))
        with pytest.raises(SystemExit):
            _train(config, killed)
    assert not _dir(config, killed).completed
    assert _train(config, killed) is None
    assert _digests(_dir(config, killed)) == _digests(_dir(config, whole))


def test_text_of_validation_and_test_tweets_is_never_read(
    table: Path, results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = prepare_corpus(_config(table).data, results)
    held_out = {" ".join(corpus.tokens(row)) for row in range(len(corpus.parts)) if corpus.parts[row]}
    assert len(held_out) > 20
    lines = [line.split(",", 1)[1] for line in table.read_text().splitlines()[1:]]
    more = tmp_path / "more.txt"
    more.write_text("\n".join([*(f"  {line.upper()} " for line in lines), "a further tweet"]) + "\n")
    read: list[str] = []
    seen = pretraining_run.LanguageTask.__init__

    def look(self: Any, config: Any, model: Any, text: pretraining_run.LanguageText, device: Any) -> None:
        read.extend(" ".join(tokens) for tokens in text.text)
        seen(self, config, model, text, device)

    monkeypatch.setattr(pretraining_run.LanguageTask, "__init__", look)
    config = _config(table, pretraining__unlabelled=[{"path": str(more)}])
    _train(config, results)
    assert "a further tweet" in read
    assert not held_out & {text.lower() for text in read} | (held_out & set(read))
    held = _card(config, results).facts["unlabelled"][str(more)]["held_out"]
    assert held == len(corpus.parts) - len(corpus.rows("train"))


def test_labels_number_of_labels_and_seed_of_a_run_change_nothing_in_its_model(table: Path, results: Results) -> None:
    config = _config(table)
    same = [_config(table, seed=2), _config(table, data__train_rows=50), _config(table, elmo__layers="top")]
    other = [_config(table, pretraining__seed=2), _config(table, elmo__model="pretrained/tweet")]
    prints = [_dir(one, results) for one in (config, *same, *other)]
    assert set(prints[: 1 + len(same)]) == {prints[0]}
    assert len(set(prints)) == 1 + len(other)


def test_tuning_begins_with_the_weights_of_another_model(table: Path, results: Results, tmp_path: Path) -> None:
    files = write_random_model(tmp_path / "other", SIZES["tiny"], seed=7)
    config = _config(table, pretraining__init=str(tmp_path / "other"), pretraining__learning_rate=1e-9)
    _train(config, results)
    found = read_weights(_dir(config, results).weights_file, SIZES["tiny"])
    assert max(abs(found[name] - values).max() for name, values in read_weights(files[1], SIZES["tiny"]).items()) < 1e-5


def test_mistakes_are_told(table: Path, results: Results, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"elmo\.model: 'pretrained/huge' is no size of an own model; valid: pretrained/tiny, "
    ):
        _config(table, elmo__model="pretrained/huge")
    with pytest.raises(DataError, match=r"gone\.txt: no such file"):
        _train(_config(table, pretraining__unlabelled=[{"path": str(tmp_path / "gone.txt")}]), results)
    with pytest.raises(DataError, match=r"are too few for a language model.*pretraining\.min_count"):
        _train(_config(table, pretraining__min_count=10_000), results)


def test_a_model_whose_file_was_changed_is_refused(table: Path, results: Results) -> None:
    config = _config(table)
    _train(config, results)
    run_dir = _dir(config, results)
    card = json.loads(run_dir.card_file.read_text())
    run_dir.card_file.write_text(json.dumps(card | {"files_fingerprint": "0" * 64}))
    with pytest.raises(EncoderError, match="its files are not those of its card"):
        find_model(config, results)


def directed(tweets: Tweets) -> tuple[DirectedTweets, list[str]]:
    rows = TokenRows.of_tweets(tweets)
    return DirectedTweets(rows, np.arange(len(rows.types)) + 2, torch.device("cpu")), list(rows.types)


def _vectors(model: LanguageModel, tweets: Tweets) -> dict[str, torch.Tensor]:
    store, _ = directed(tweets)
    found: dict[int, list[torch.Tensor]] = {}
    with torch.no_grad():
        for batch in store.store.in_order_of_length(np.arange(len(tweets)), 100):
            both = model.eval().layers(store.directed(batch))
            for place, row in enumerate(batch.rows.tolist()):
                inside = slice(1, len(tweets[row]) + 1)
                # Forward, token k is step k + 1; backward, it is as many steps from the other end.
                found[row] = [
                    torch.cat([one[inside, place], other[inside, place].flip(0)], dim=1)
                    for one, other in zip(*both, strict=True)
                ]
    return {layer: torch.cat([found[row][n] for row in range(len(tweets))]) for n, layer in enumerate(LAYERS)}


@pytest.mark.parametrize("clips", [(3.0, 3.0), (0.5, 0.1), (None, None), (0.2, None), (None, 0.05)])
def test_vectors_are_the_encoders_at_any_clip(clips: tuple[float | None, float | None]) -> None:
    torch.manual_seed(1)
    tiny = SIZES["tiny"]
    options = tiny.model_copy(
        update={"lstm": tiny.lstm.model_copy(update=dict(zip(("cell_clip", "proj_clip"), clips, strict=True)))}
    )
    model = LanguageModel(options, 10, 0.1)
    with torch.no_grad():
        for name, weights in model.weights.items():
            if name.endswith(("W_P_0", "W_0")):
                weights.mul_(2)  # so that values are clipped
    encoder = ElmoEncoder(options, {name: values.detach().numpy() for name, values in model.weights.items()})
    tweets = [*(tweet for tweet in random_tweets(40) if tweet), ODD_TOKENS, ["a"]]
    found = _vectors(model, tweets)
    # Gates are near saturation here, where rounding alone makes up to 7e-5; a clip that is left out makes 0.1.
    assert largest_difference(found, encoder.encode(tweets, LAYERS)) <= 1e-3
    assert clips[1] in (None, 3.0) or (found["first"].abs() == clips[1]).float().mean() > 0.01


def test_each_direction_predicts_the_next_word_from_those_it_has_read() -> None:
    tweets = [["a", "b", "c"], ["d"]]
    store, types = directed(tweets)
    (batch,) = store.store.in_order_of_length(np.array([0, 1]), 1000)
    text = store.directed(batch)
    names = ["<S>", "</S>", *types]
    for direction, wanted in enumerate(
        [([["d", "</S>"], ["a", "b", "c", "</S>"]]), ([["d", "<S>"], ["c", "b", "a", "<S>"]])]
    ):
        for place, words in enumerate(wanted):
            inside = text.inside[:, place]
            assert [names[word] for word in text.targets[direction][inside, place].tolist()] == words
    assert int(text.inside.sum()) == 6
