"""Tokens: those of NLTK where nothing is cleaned, and each option of cleaning."""

import io
import re
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentiment.config import TextConfig
from sentiment.data.text import Tokenizer, is_emoticon, stop_words, tweet_patterns
from sentiment.predicting.explain import read_available_lines

PLAIN = TextConfig(urls="keep", mentions="keep", lowercase=False)
CONFIGS = [
    PLAIN,
    TextConfig(),
    TextConfig(urls="remove", mentions="remove", hashtags="remove", stop_words="all"),
    TextConfig(urls="keep", mentions="mask", hashtags="split", stop_words="keep_negations"),
]
TOKENIZERS = [Tokenizer(config) for config in CONFIGS]

# Pieces that NLTK's patterns care about, to be put together in any order.
PIECES = (
    "a b don't I'm word WORD soooo www. www.a.b http://x.yz/(q) bit.ly/x a.co me@ex.org @bob @@x # #a #1 ## #a-b ' - _ "
    ". .. ... . , ! ? !!!! :) :-( :D D: 8) <3 </3 <url> <user> <b> < > -> <- & &amp; &lt; ; 1 12 123 555 4567 1234567 "
    "+1 ( ) * 1.5 3:30 \u00e9 caf\u00e9 \u2019 don\u2019t \U0001f600 \U0001f44d\U0001f3fd \u200d \u0663\u0663\u0663 "
    '\u2026 \U0001f1e9\U0001f1ea ~ | \\ / = ; [ ] { } " $ % ^ `'
)
BLANKS = st.sampled_from(["", "", " ", "  ", "\t", "\u00a0", "\u2003"])
PATCHWORK = st.lists(st.tuples(st.sampled_from(PIECES.split(" ")), BLANKS), max_size=14).map(
    lambda parts: "".join(map("".join, parts))
)
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60) | PATCHWORK


@given(text=ANY_TEXT)
@settings(max_examples=250)
def test_remembered_words_give_the_tokens_of_the_whole_text(text: str) -> None:
    for tokenizer in TOKENIZERS:
        tokens = tokenizer(text)
        assert tokens == without_cache(tokenizer, text)
        assert all(token.split() == [token] and token.encode() for token in tokens)


def test_several_threads_may_tokenise_their_first_texts_at_once() -> None:
    script = (
        "import sys, threading; from concurrent.futures import ThreadPoolExecutor\n"
        "from sentiment.data.text import tweet_patterns\n"
        "sys.setswitchinterval(1e-5); start = threading.Barrier(4)\n"
        "first = lambda _: start.wait() >= 0 and tweet_patterns()[0].pattern\n"
        "print(len({*ThreadPoolExecutor(4).map(first, range(4))}), 'nltk' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "1 False\n"


@given(text=PATCHWORK)
@settings(max_examples=250)
def test_without_cleaning_the_tokens_are_those_of_nltk(text: str) -> None:
    from nltk.tokenize import TweetTokenizer

    text = text.replace("\u2019", "'").replace("&", "").replace("\t", " ")
    text = re.sub(r"([^\W\d_])\1{3,}", r"\1\1\1", text)
    assert TOKENIZERS[0](text) == [re.sub(r"\s", "", token) for token in TweetTokenizer().tokenize(text)]


def without_cache(tokenizer: Tokenizer, text: str) -> list[str]:
    """The tokens by way of NLTK's pattern over the whole text: no words remembered, none found in a simpler way."""
    text = tokenizer.clean(text)
    return list(tokenizer.tokenize_whole(f"{text} \u00e9"))[:-1]  # the last word rules the simple ways out


@pytest.mark.parametrize(
    ("options", "text", "tokens"),
    [
        ({}, "Fish &amp; chips &lt;3", ["fish", "&", "chips", "<3"]),
        ({}, "see http://a.b/c?d=@e#f, ok", ["see", "<url>", ",", "ok"]),
        ({}, "(www.ex.org) and/or bit.ly/xY", ["(", "<url>", ")", "and", "/", "or", "<url>"]),
        ({"urls": "remove"}, "see http://a.b ok", ["see", "ok"]),
        ({"urls": "keep"}, "see http://a.b/@c ok", ["see", "http://a.b/@c", "ok"]),
        ({}, "@bob: thanks,@ann!", ["<user>", ":", "thanks", ",", "<user>", "!"]),
        ({}, "mail me@ex.org", ["mail", "me@ex.org"]),
        ({}, "):@bob", ["):", "<user>"]),
        ({"mentions": "remove"}, "hi @bob :)", ["hi", ":)"]),
        ({"mentions": "keep"}, "hi @Bob", ["hi", "@bob"]),
        ({}, "so #Happy", ["so", "#happy"]),
        ({"hashtags": "split"}, "#don't #a#b we're #1", ["don't", "a", "b", "we're", "#", "1"]),
        ({"hashtags": "remove"}, "so #happy now", ["so", "now"]),
        ({}, "SOOOOO goooood 10000", ["sooo", "goood", "10000"]),
        ({}, "WOW :D Xx", ["wow", ":D", "xx"]),
        ({"lowercase": False}, "WOW :D", ["WOW", ":D"]),
        ({"stop_words": "all"}, "I don\u2019t like the rain", ["like", "rain"]),
        ({"stop_words": "all", "lowercase": False}, "Don't The Rain", ["Rain"]),
        ({"stop_words": "keep_negations"}, "I don't no rain, not the", ["don't", "no", "rain", ",", "not"]),
        ({}, "call 555 123 4567 . . . now", ["call", "5551234567", "...", "now"]),
        ({}, "a literal <url> here", ["a", "literal", "<url>", "here"]),
        ({}, " \u200e\n", []),
        ({}, "a\x00b\x1cc\u200bd", ["a", "b", "cd"]),
        ({}, "\U0001f468\u200d\U0001f467 \U0001f44d\U0001f3fd", ["\U0001f468\u200d\U0001f467", "\U0001f44d\U0001f3fd"]),
        ({}, "\ud83d half", ["\ufffd", "half"]),
    ],
)  # fmt: skip
def test_each_option_does_what_it_says(options: dict[str, object], text: str, tokens: list[str]) -> None:
    assert Tokenizer(TextConfig.model_validate(options))(text) == tokens


def test_the_stop_words_are_the_179_of_which_40_are_negations() -> None:
    everything, kept = stop_words("all"), stop_words("keep_negations")
    assert (len(everything), len(everything - kept), len(stop_words("none"))) == (179, 40, 0)
    assert {"no", "nor", "not", "ain", "don't", "wouldn"} <= everything - kept


@given(text=st.text(":;=8-o*')]([dDpP/}{@|\\<>3", max_size=4))
def test_emoticons_are_those_that_nltk_keeps_together(text: str) -> None:
    from nltk.tokenize import TweetTokenizer

    if is_emoticon(text):
        assert TweetTokenizer().tokenize(text) == [text]


def test_the_patterns_are_those_of_nltk_of_which_nothing_is_imported() -> None:
    from nltk.tokenize import casual

    tokens, hanging = tweet_patterns()
    assert tokens.pattern == casual.TweetTokenizer().PHONE_WORD_RE.pattern
    assert hanging.pattern == casual.HANG_RE.pattern
    script = (
        "import sys; from sentiment.config import TextConfig\n"
        "from sentiment.data.text import Tokenizer, tweet_patterns\n"
        "Tokenizer(TextConfig())('so happy :-)'); print([(one.pattern, one.flags) for one in tweet_patterns()])\n"
        "print({'nltk', 'sklearn', 'scipy', 'pandas', 'torch'} & {*sys.modules})"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert said == f"{[(one.pattern, one.flags) for one in (tokens, hanging)]}\nset()\n"


def _by_standard_input(texts: list[str], encoding: str) -> list[list[str]]:
    stream = io.BufferedReader(io.BytesIO("".join(f"{text}\n" for text in texts).encode(encoding)))  # type: ignore[arg-type]
    return [TOKENIZERS[1](line) for lines in read_available_lines(stream) for line in lines]


@settings(max_examples=100)
@given(texts=st.lists(PATCHWORK, min_size=2, max_size=6), encoding=st.sampled_from(["utf-8", "utf-8-sig"]))
def test_a_line_of_the_standard_input_has_the_tokens_of_its_text(texts: list[str], encoding: str) -> None:
    assert _by_standard_input(texts, encoding) == [TOKENIZERS[1](text) for text in texts]


@pytest.mark.parametrize("text", ["I don\u2019t like it", "\u201cnot\u201d good \u2026 caf\u00e9", "\u20ac5"])
def test_a_line_of_windows_has_the_tokens_of_its_text(text: str) -> None:
    assert _by_standard_input([text, "plain"], "cp1252") == [TOKENIZERS[1](text), ["plain"]]
