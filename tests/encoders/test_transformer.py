"""Vectors of transformers are those of a plain loop over tweets, for each token and for the whole tweet."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch

from sentiment.config import EncoderConfig
from sentiment.encoders.cache import build_encoder
from sentiment.encoders.pretrained import find_encoder
from sentiment.encoders.transformer import PIECES, TWEET, Transformer
from sentiment.errors import EncoderError
from sentiment.files import ROOT
from tests.encoders.tiny import needs_transformers

pytestmark = [needs_transformers, pytest.mark.slow]

TWEETS = [
    ["good", "morning", "!"],
    ["so", "bad", "\ufe0f", "é日", "x"],
    [],
    ["not", "good", "at", "all", ":("],
    ["good", "evening", "?"],
]


def _encoder(folder: Path) -> Transformer:
    return Transformer(find_encoder(EncoderConfig(model=str(folder)), folder))


def _states(folder: Path, tweet: list[str]) -> torch.Tensor:
    """(pieces, vector): one tweet by itself."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        states: torch.Tensor = model(**tokenizer(" ".join(tweet), return_tensors="pt")).last_hidden_state[0]
    return states


def _of_tokens(folder: Path, tweet: list[str]) -> torch.Tensor:
    """(tokens, vector), by the library's own account of which pieces are of which word."""
    from transformers import AutoTokenizer

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


def test_a_tokeniser_that_does_not_tell_places_gives_vectors_of_tweets_alone(bert: Path) -> None:
    encoder = _encoder(bert)
    encoder._tokenizer = Mock(wraps=encoder._tokenizer, is_fast=False)
    assert encoder.encode(TWEETS, [TWEET])[TWEET].shape == (len(TWEETS), 16)
    with pytest.raises(EncoderError, match=r"does not tell which piece .*valid is encoder\.use: tweet"):
        encoder.encode(TWEETS, [PIECES])


def test_an_empty_tweet_without_special_tokens_has_a_vector_of_zeros(bert: Path) -> None:
    from tokenizers.processors import TemplateProcessing

    encoder = _encoder(bert)
    encoder._tokenizer._tokenizer.post_processor = TemplateProcessing(single="$A")
    assert not encoder.encode(TWEETS, [TWEET])[TWEET][2].any()


def test_vectors_in_bf16_are_those_in_fp32_to_two_digits(bert: Path) -> None:
    config = EncoderConfig(model=str(bert), precision="bf16")
    encoder = build_encoder(config, find_encoder(config, bert), torch.device("cpu"))
    expected = _encoder(bert).encode(TWEETS, [PIECES, TWEET])
    for layer, vectors in encoder.encode(TWEETS, [PIECES, TWEET]).items():
        assert vectors.dtype == torch.float32
        assert not torch.equal(vectors, expected[layer])
        torch.testing.assert_close(vectors, expected[layer], atol=0.03, rtol=0)


@pytest.mark.parametrize("name", ["bert", "roberta"])
def test_a_tweet_has_the_mean_of_all_pieces(name: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(name)
    means = torch.stack([_states(folder, tweet).mean(0) for tweet in TWEETS])
    torch.testing.assert_close(_encoder(folder).encode(TWEETS, [TWEET])[TWEET], means, atol=1e-5, rtol=1e-5)


def test_masks_of_cleaning_are_read_as_words_and_long_tweets_are_cut(bert: Path) -> None:
    encoder = _encoder(bert)
    masked, words = (encoder.encode([tweet], [TWEET])[TWEET] for tweet in (["<user>", "<url>"], ["@user", "http"]))
    assert torch.equal(masked, words)
    endless = encoder.encode([["good"] * 500], [PIECES])[PIECES]
    assert endless[:62].any(1).all()  # 64 positions, of which two are the marks
    assert not endless[62:].any()


@pytest.mark.more
def test_a_process_that_leaves_the_compiler_out_reads_a_model_as_well(bert: Path) -> None:
    """As `sentiment train` does; a process of its own, since here the library is imported already."""
    code = f"""
from pathlib import Path
from sentiment.processes import leave_compiler_out
leave_compiler_out()
from sentiment.config import EncoderConfig
from sentiment.encoders.cache import build_encoder
from sentiment.encoders.pretrained import find_encoder
config = EncoderConfig(model={str(bert)!r})
print(build_encoder(config, find_encoder(config, Path()), "cpu").vector_size)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout) == (0, "16\n"), done.stderr


def test_loading_draws_no_random_numbers(bert: Path) -> None:
    before = torch.random.get_rng_state()
    _encoder(bert)
    assert torch.equal(torch.random.get_rng_state(), before)


def _with_infinite_weight(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    weights["encoder.layer.1.output.dense.bias"][3] = torch.inf
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def _with_a_decoder(folder: Path) -> None:
    from transformers import T5Config, T5Model

    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 20, "num_layers": 1, "num_heads": 2}
    T5Model(T5Config(vocab_size=200, **sizes)).save_pretrained(folder)


def _changed(file: str, value: object, *keys: str) -> Callable[[Path], None]:
    """Gives a field of a JSON file another value."""

    def change(folder: Path) -> None:
        content = fields = json.loads((folder / file).read_text())
        for key in keys[:-1]:
            fields = fields[key]
        fields[keys[-1]] = value
        (folder / file).write_text(json.dumps(content))

    return change


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (_changed("config.json", "own", "model_type"), "cannot be loaded"),
        (_changed("config.json", 8, "hidden_size"), "cannot be loaded"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"\x10"), "cannot be loaded"),
        (_changed("config.json", 3, "num_hidden_layers"), "16 weights.*encoder.layer.2"),
        (_with_infinite_weight, "its vectors are infinite or not numbers"),
        (_with_a_decoder, "gives no vectors of a text alone.*decoder"),
        (lambda folder: [path.unlink() for path in folder.glob("tokenizer*")], "tokeniser"),
        (_changed("tokenizer.json", 5000, "model", "vocab", "bad"), "5000"),
        (_changed("config.json", 20, "vocab_size"), "cannot be loaded"),
    ],
)
def test_files_that_are_no_whole_model_are_refused_by_folder_and_problem(
    bert: Path, tmp_path: Path, damage: Callable[[Path], None], problem: str
) -> None:
    for path in bert.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    _encoder(tmp_path)
    damage(tmp_path)
    with pytest.raises(EncoderError, match=rf"{re.escape(str(tmp_path))}.*{problem}"):
        _encoder(tmp_path)


def test_a_model_whose_checkpoint_has_a_head_besides_is_read(bert: Path, tmp_path: Path) -> None:
    from transformers import BertForMaskedLM

    model = BertForMaskedLM.from_pretrained(bert)
    model.save_pretrained(tmp_path)
    for path in bert.glob("tokenizer*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    vectors = _encoder(tmp_path).encode(TWEETS, [TWEET])[TWEET]
    torch.testing.assert_close(vectors, _encoder(bert).encode(TWEETS, [TWEET])[TWEET])
