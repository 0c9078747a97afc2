"""Vectors of transformers are those of a plain loop over tweets, for each token and for the whole tweet."""

import json
from pathlib import Path

import pytest
import torch

pytest.importorskip("transformers", reason="the extra hub is not installed")

from transformers import AutoModel, AutoTokenizer

from sentiment.config import EncoderConfig
from sentiment.encoders.pretrained import find_encoder
from sentiment.encoders.transformer import PIECES, TWEET, Transformer
from sentiment.errors import EncoderError

TWEETS = [
    ["good", "morning", "!"],
    ["so", "bad", "\ufe0f", "é日", "x"],
    [],
    ["not", "good", "at", "all", ":("],
    ["good", "evening", "?"],
]


def _encoder(folder: Path, pooling: str = "mean") -> Transformer:
    return Transformer(find_encoder(EncoderConfig(model=str(folder)), folder), pooling)  # type: ignore[arg-type]


def _states(folder: Path, tweet: list[str]) -> torch.Tensor:
    """(pieces, vector): one tweet by itself."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        states: torch.Tensor = model(**tokenizer(" ".join(tweet), return_tensors="pt")).last_hidden_state[0]
    return states


def _of_tokens(folder: Path, tweet: list[str]) -> torch.Tensor:
    """(tokens, vector), by the library's own account of which pieces are of which word."""
    words = AutoTokenizer.from_pretrained(folder)(tweet, is_split_into_words=True).word_ids() if tweet else []
    states = _states(folder, tweet)
    vectors = [states[[piece for piece, word in enumerate(words) if word == n]].mean(0) for n in range(len(tweet))]
    return torch.stack(vectors) if vectors else states[:0]


def test_tokens_have_the_mean_of_their_pieces(bert: Path) -> None:
    found = _encoder(bert).encode(TWEETS, [PIECES])
    assert set(found) == {PIECES}
    wanted = torch.cat([_of_tokens(bert, tweet) for tweet in TWEETS])
    empty = sum(map(len, TWEETS[:1])) + 2  # a sign without any piece
    assert not found[PIECES][empty].any()
    assert wanted[empty].isnan().all()
    torch.testing.assert_close(found[PIECES], wanted.nan_to_num(), atol=1e-5, rtol=1e-5)


def test_a_piece_that_begins_with_the_blank_belongs_to_the_token_after_it(roberta: Path) -> None:
    tweet = ["good", "bad", "it"]
    states = _states(roberta, tweet)
    # <s>, g o o d, Ġb a d, Ġ i t, </s>
    wanted = torch.stack([states[1:5].mean(0), states[5:8].mean(0), states[8:11].mean(0)])
    assert len(states) == 12
    torch.testing.assert_close(_encoder(roberta).encode([tweet], [PIECES])[PIECES], wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["bert", "roberta"])
def test_a_tweet_has_the_mean_of_all_pieces_or_the_first(name: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(name)
    states = [_states(folder, tweet) for tweet in TWEETS]
    for pooling, wanted in (("mean", [one.mean(0) for one in states]), ("first", [one[0] for one in states])):
        found = _encoder(folder, pooling).encode(TWEETS, [TWEET])[TWEET]
        torch.testing.assert_close(found, torch.stack(wanted), atol=1e-5, rtol=1e-5)


def test_masks_of_cleaning_are_read_as_words_and_long_tweets_are_cut(bert: Path) -> None:
    encoder = _encoder(bert)
    masked, words = (encoder.encode([tweet], [TWEET])[TWEET] for tweet in (["<user>", "<url>"], ["@user", "http"]))
    assert torch.equal(masked, words)
    endless = encoder.encode([["good"] * 500], [PIECES])[PIECES]
    assert endless[:62].any(1).all()  # 64 positions, of which two are the marks
    assert not endless[62:].any()


def test_loading_draws_no_random_numbers_and_refuses_what_is_no_model(bert: Path, tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    _encoder(bert)
    assert torch.equal(torch.random.get_rng_state(), before)
    for path in bert.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((bert / "config.json").read_text())
    for wrong in ({"model_type": "own"}, {"num_hidden_layers": 3}, {"hidden_size": 8}):
        (tmp_path / "config.json").write_text(json.dumps(config | wrong))
        with pytest.raises(EncoderError, match=r"cannot be loaded|lacks 16 weights"):
            _encoder(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes(b"\x10")
    with pytest.raises(EncoderError, match="cannot be loaded"):
        _encoder(tmp_path)
