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
from re import _parser
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
CATEGORIES = {"DIGIT": "1", "NOT_DIGIT": "a", "SPACE": " ", "NOT_SPACE": "a", "WORD": "a", "NOT_WORD": "!"}


class Sampler:
    """Makes texts that a pattern matches, but for their end, with a few of its repetitions very long."""

    def __init__(self, seed: int, length: int) -> None:
        self.draw = random.Random(seed)
        self.length = length
        self.left = length

    def text(self, pattern: re.Pattern[str] | None) -> str:
        parts = self._many(self._piece, -1) if pattern is None else self._sequence(_parser.parse(*_source(pattern)))
        end = self.draw.choice(["", "!", "x", " x", "\n", "\nx", self.draw.choice(PIECES)])
        return parts[: self.length - len(end)] + end

    def _piece(self) -> str:
        return "".join(self.draw.sample(PIECES, self.draw.choice([1, 1, 2, 3])))

    def _many(self, make: Callable[[], str], count: int) -> str:
        """`count` texts, or (-1) as many as fit: all alike, or each drawn anew."""
        if count >= 0:
            return "".join(make() for _ in range(count))
        alike = self.draw.random() < 0.7
        parts = []
        part = make()
        while self.left > 0:
            parts.append(part)
            self.left -= max(1, len(part))
            part = part if alike else make()
        return "".join(parts)

    def _sequence(self, nodes: Any) -> str:
        return "".join(self._node(str(kind), value) for kind, value in nodes)

    def _node(self, kind: str, value: Any) -> str:
        match kind:
            case "LITERAL":
                return chr(value)
            case "IN":
                return self._character(value)
            case "BRANCH":
                return self._sequence(self.draw.choice(value[1]))
            case "SUBPATTERN" | "ATOMIC_GROUP":
                return self._sequence(value[-1] if kind == "SUBPATTERN" else value)
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                least, most, nodes = value
                count = self.draw.choice([least, least, min(int(most), least + 1), -1 if int(most) > 100 else least])
                return self._many(lambda: self._sequence(nodes), count)
            case "ASSERT":
                return self._sequence(value[1]) if self.draw.random() < 0.3 else ""
            case "ASSERT_NOT" | "AT":
                return ""
        return self.draw.choice(["a", "1", "!"])

    def _character(self, choices: Any) -> str:
        kind, value = self.draw.choice(choices)
        if str(kind) == "LITERAL":
            return chr(value)
        if str(kind) == "RANGE":
            return chr(value[0])
        return CATEGORIES.get(str(value).removeprefix("CATEGORY_"), self.draw.choice(["a", "1", "!", " "]))


def _source(pattern: re.Pattern[Any]) -> tuple[str, int]:
    source = pattern.pattern.decode() if isinstance(pattern.pattern, bytes) else pattern.pattern
    return source, pattern.flags & (re.VERBOSE | re.IGNORECASE | re.DOTALL | re.MULTILINE)


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


def _patterns() -> dict[str, tuple[re.Pattern[Any], Use]]:
    """Every pattern of the packages: those that modules hold, and those that are written where they are used."""
    found: dict[str, tuple[re.Pattern[Any], Use]] = {}
    for module in _modules():
        tree = ast.parse(Path(module.__file__ or "").read_text(encoding="utf-8"))
        attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args]
        for name, value in vars(module).items():
            if isinstance(value, re.Pattern):
                used = {node.attr for node in attributes if isinstance(node.value, ast.Name) and node.value.id == name}
                if methods := used.intersection(METHODS):
                    found[f"{module.__name__}.{name}"] = (value, _of_pattern(value, methods))
        for call in calls:
            library, _, method = ast.unparse(call.func).rpartition(".")
            source = call.args[0]
            if library == "re" and method in METHODS and isinstance(source, ast.Constant):
                pattern = re.compile(source.value)
                found[f"{module.__name__}:{call.lineno}"] = (pattern, _of_pattern(pattern, {method}))
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


def _growth(use: Use, pattern: re.Pattern[Any] | None, seed: int) -> float:
    """How many times as much a text costs that is LONGER times as long; 0 if it costs no more than is usual."""
    text = Sampler(seed, LENGTH).text(pattern)
    usual = SUSPICIOUS * _cost(WORDS_AND_SIGNS.findall, text)
    try:
        if (cost := _cost(use, text)) <= usual or (cost := _cost(use, text, 3)) <= usual:
            return 0
        longer = Sampler(seed, LONGER * LENGTH).text(pattern)
        growth = _cost(use, longer) / cost
        return growth if growth <= ALLOWED_GROWTH else _cost(use, longer, 3) / cost
    except NeverEndsError:
        return float("inf")


@pytest.mark.more
@pytest.mark.usefixtures("_limited")
def test_every_text_takes_linear_time() -> None:
    patterns = _patterns()
    uses: dict[str, tuple[re.Pattern[Any] | None, Use]] = {**patterns}
    for name, use in FUNCTIONS.items():
        uses |= {f"{name}: {source}": (pattern, use) for source, (pattern, _) in patterns.items() if ".data." in source}
        uses[name] = (None, use)
    texts = int(os.environ.get("FUZZ", 1_000)) // len(uses)
    first = random.randrange(10**9) if "FUZZ" in os.environ else 0
    slow: dict[str, tuple[float, str]] = {}
    for name, (pattern, use) in uses.items():
        for seed in range(first, first + texts):
            growth = _growth(use, pattern, seed)
            if growth > ALLOWED_GROWTH:
                slow[name] = (growth, Sampler(seed, LENGTH).text(pattern)[:80])
                break
    assert len(uses) > 50
    assert not slow


@pytest.mark.more
@pytest.mark.usefixtures("_limited")
@pytest.mark.parametrize("source", ["(?:#.*)*x", "a.*b.*c"])
def test_slow_patterns_are_found(source: str) -> None:
    pattern = re.compile(source)
    use = _of_pattern(pattern, {"search"})
    assert any(_growth(use, pattern, seed) > ALLOWED_GROWTH for seed in range(500))


@pytest.mark.usefixtures("_limited")
def test_tweet_of_many_hashtags_after_its_author_ends() -> None:
    _cost(FUNCTIONS["undecorated"], "so true via @name " + "#a" * 400 + " x")  # else raises NeverEndsError
