"""No regular expression takes more than linear time, nor does anything that every tweet goes through.

A text that costs much at 1,000 characters is made eight times as long: in linear time it costs eight times as much, in
quadratic time 64 times. The suite invents a few texts, the same each time; `FUZZ=100000 pytest
tests/test_linear_time.py` invents others, in number.
"""

import ast
import importlib
import os
import pkgutil
import random
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import jobs
import report
import sentiment
from sentiment.config import TextConfig
from sentiment.console import as_code, as_markdown, visible
from sentiment.data.copies import is_cut
from sentiment.data.text import Tokenizer, TweetForms, undecorated

Use = Callable[[str], object]

LENGTH = 1_000
LONGER = 8
# A text is looked at closely if it costs more than so many times what splitting it into words and signs costs.
SUSPICIOUS = 15
# In linear time a text costs LONGER times as much; the rest is for noise, and for costs that do not grow.
ALLOWED_GROWTH = 3 * LONGER
# In processor time; an exponential pattern would not end.
NEVER_ENDS_SECONDS = 1.0
METHODS = ("search", "match", "fullmatch", "split", "findall", "finditer", "sub")

# What texts are made of where no pattern tells it, and what follows a text that a pattern would match.
WORDS = (
    ". .. … , ; : ' - _ @ # / ( < & = * | ! ? a b A é 1 8 3 aaaa 111 a.b 1-1 not n't but via rt RT x @a #a #1 &# &amp; "
    "&#1 http:// https://x www. .com/ :) D: \u200b \ud83d"
)
PIECES = (*WORDS.split(), " ", "  ", "\t", "\n", "\u00a0")


def _text(source: str, seed: int, length: int) -> str:
    """A beginning, a few pieces very often, and another end: of what tweets are made, and what a pattern speaks of."""
    draw = random.Random(seed)
    spoken = re.findall(r"\w+|\W", re.sub(r"\\[a-zA-Z]|\(\?[a-z:=!<]+", "", source))
    pieces = (*PIECES, *spoken * (2 + len(PIECES) // (1 + len(spoken))))
    begin = "".join(draw.choices(pieces, k=draw.choice([0, 0, 1, 3])))
    often = "".join(draw.choices(pieces, k=draw.choice([1, 1, 2, 3])))
    end = draw.choice(["", "!", "x", " x", "\n", "\nx", draw.choice(pieces)])
    return (begin + often * length)[: length - len(end)] + end


def _modules() -> Iterator[ModuleType]:
    for package in (sentiment, jobs, report):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith((".__main__", ".allennlp", ".start_copy")):
                yield importlib.import_module(module.name)


def _of_pattern(pattern: re.Pattern[Any], methods: set[str]) -> Use:
    """Applies a pattern as the program does: by these methods."""

    def use(text: str) -> None:
        content = text.encode("utf-8", "replace") if isinstance(pattern.pattern, bytes) else text
        for method in methods:
            if method == "sub":
                pattern.sub(lambda match: match[0], content)
            else:
                result = getattr(pattern, method)(content)
                list(result) if method == "finditer" else None

    return use


def _patterns() -> dict[str, tuple[str, Use]]:
    """Every pattern of the packages: those that modules hold, and those that are written where they are used."""
    found: dict[str, tuple[str, Use]] = {}
    for module in _modules():
        tree = ast.parse(Path(module.__file__ or "").read_text(encoding="utf-8"))
        attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args]
        for name, value in vars(module).items():
            if isinstance(value, re.Pattern):
                used = {node.attr for node in attributes if isinstance(node.value, ast.Name) and node.value.id == name}
                if methods := used.intersection(METHODS):
                    source = value.pattern
                    source = source.decode() if isinstance(source, bytes) else source
                    found[f"{module.__name__}.{name}"] = (source, _of_pattern(value, methods))
        for call in calls:
            library, _, method = ast.unparse(call.func).rpartition(".")
            written = call.args[0]
            if library == "re" and method in METHODS and isinstance(written, ast.Constant):
                use = _of_pattern(re.compile(written.value), {method})
                found[f"{module.__name__}:{call.lineno}"] = (written.value, use)
    return found


def _forgetful(tokenizer: Tokenizer) -> Use:
    def use(text: str) -> None:
        tokenizer._word_tokens.clear()
        tokenizer(text)

    return use


FORMS = TweetForms()
FUNCTIONS: dict[str, Use] = {
    "tokens": _forgetful(Tokenizer(TextConfig())),
    "tokens, nothing masked": _forgetful(Tokenizer(TextConfig(urls="keep", mentions="keep", hashtags="split"))),
    "form": FORMS.of,
    "undecorated": undecorated,
    "is cut": lambda text: is_cut(text, "a form of five words"),
    "visible": visible,
    "as Markdown": as_markdown,
    "as code": as_code,
}
WORDS_AND_SIGNS = re.compile(r"[^\W\d_]+|\W")


class NeverEndsError(Exception):
    pass


def _interrupt(*_: object) -> None:
    raise NeverEndsError


@pytest.fixture
def _limited() -> Iterator[None]:
    former = signal.signal(signal.SIGPROF, _interrupt)
    yield
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.signal(signal.SIGPROF, former)


def _cost(use: Use, text: str, attempts: int = 1) -> float:
    """The processor time of a use, in seconds: the least of several attempts."""
    costs = []
    for _ in range(attempts):
        signal.setitimer(signal.ITIMER_PROF, NEVER_ENDS_SECONDS)
        start = time.thread_time()
        use(text)
        costs.append(time.thread_time() - start)
    signal.setitimer(signal.ITIMER_PROF, 0)
    return min(costs)


def _growth(use: Use, source: str, seed: int) -> float:
    """How many times as much a text costs that is LONGER times as long; 0 if it costs no more than is usual."""
    text = _text(source, seed, LENGTH)
    usual = SUSPICIOUS * _cost(WORDS_AND_SIGNS.findall, text)
    try:
        if (cost := _cost(use, text)) <= usual or (cost := _cost(use, text, 3)) <= usual:
            return 0
        longer = _text(source, seed, LONGER * LENGTH)
        growth = _cost(use, longer) / cost
        return growth if growth <= ALLOWED_GROWTH else _cost(use, longer, 3) / cost
    except NeverEndsError:
        return float("inf")


@pytest.mark.more
@pytest.mark.usefixtures("_limited")
def test_every_text_takes_linear_time() -> None:
    patterns = _patterns()
    uses = {**patterns}
    for name, use in FUNCTIONS.items():
        uses |= {f"{name}: {place}": (source, use) for place, (source, _) in patterns.items() if ".data." in place}
        uses[name] = ("", use)
    texts = int(os.environ.get("FUZZ", 1_000)) // len(uses)
    first = random.randrange(10**9) if "FUZZ" in os.environ else 0
    slow: dict[str, tuple[float, str]] = {}
    for name, (source, use) in uses.items():
        for seed in range(first, first + texts):
            growth = _growth(use, source, seed)
            if growth > ALLOWED_GROWTH:
                slow[name] = (growth, _text(source, seed, LENGTH)[:80])
                break
    assert len(uses) > 50
    assert not slow


@pytest.mark.more
@pytest.mark.usefixtures("_limited")
@pytest.mark.parametrize("source", ["(?:#.*)*x", "a.*b.*c"])
def test_slow_patterns_are_found(source: str) -> None:
    use = _of_pattern(re.compile(source), {"search"})
    assert any(_growth(use, source, seed) > ALLOWED_GROWTH for seed in range(500))


@pytest.mark.usefixtures("_limited")
def test_tweet_of_many_hashtags_after_its_author_ends() -> None:
    _cost(FUNCTIONS["undecorated"], "so true via @name " + "#a" * 400 + " x")  # else raises NeverEndsError
