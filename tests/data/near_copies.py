"""Invented tweets of known origin and author, and the ways in which people copy them and spell their names."""

import random
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.data.made_up import write_table

COPIES: dict[str, Callable[[str], str]] = {
    "as it is": lambda text: text,
    "capitals and blanks": lambda text: f"  {text.upper()} ",
    "zero-width space": lambda text: text.replace(" ", " \u200b", 3),
    "byte order mark": lambda text: "\ufeff" + text,
    "curly quotes": lambda text: "\u201c" + text.replace("'", "\u2019") + "\u201d",
    "control character": lambda text: text.replace(" ", "\x07 ", 1),
    "fullwidth letters": lambda text: text.replace("so", "\uff53\uff4f", 1),
    "letters repeated": lambda text: text.replace("soooo", "sooooooooo"),
    "retweet": lambda text: f"RT @bob: {text}",
    "retweet of a retweet": lambda text: f"RT @amy RT @bob: {text}",
    "link": lambda text: f"{text} http://ex.am/ple",
    "hashtag": lambda text: f"{text} #winning #life",
    "signs": lambda text: f"{text} !!",
    "other user": lambda text: text.replace("@cleo", "@dora"),
    "escapes": lambda text: text.replace(" & ", " &amp; "),
    "cut": lambda text: text[: text.rindex(" ") + 3] + "\u2026",
}
"""What makes a copy of a tweet that `tweet_text` gives."""

_NAME, _DIGITS = "zq", "abcdefghij"

SPELLINGS: tuple[Callable[[str], str], ...] = (str, str.upper, lambda name: f"@{name}", lambda name: f"{name} ")
WITH_AUTHORS = ("id", "label", "text", "user")
COLUMNS = {"id": "id", "label": "label", "text": "text", "user": "user"}


def tweet_text(number: int) -> str:
    """A tweet with a word that no other one has, beyond twelve words."""
    return f"@cleo don't you think {_name(number)} is soooo good & warm for all of us, from here to the old harbour"


def number_in(tokens: Iterable[str]) -> int:
    (name,) = [token for token in tokens if token.startswith(_NAME)]
    return int(name.removeprefix(_NAME).translate(str.maketrans(_DIGITS, "0123456789")))


def _name(number: int) -> str:
    return _NAME + str(number).translate(str.maketrans("0123456789", _DIGITS))


class Tweet(NamedTuple):
    """A row of a table, and who wrote what in it."""

    id: str
    number: int
    """Of its `tweet_text`."""
    author: str
    label: str
    text: str
    user: str
    """The author, as spelled."""


class World:
    """Tables of invented tweets that copy each other and share authors, all drawn from one seed."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self.tweets: dict[str, Tweet] = {}
        self.main = self._tweets("m", range(160), 200)
        self.second = self._tweets("s", [*range(0, 160, 8), *range(200, 220)], 30)
        self.extra = self._tweets("e", [*range(0, 160, 3), *range(300, 360)], 90)
        self.nameless = self._tweets("n", [*range(0, 160, 5), *range(400, 440)], 60)
        self.unlabelled = self._tweets("u", [*range(220), *range(300, 500)], 300)

    def write(self, folder: Path) -> None:
        for name, rows in (("main", self.main), ("second", self.second), ("extra", self.extra)):
            table = [(one.id, one.label, one.text, one.user) for one in rows]
            write_table(folder / f"{name}.csv", table, WITH_AUTHORS)
        nameless = [(one.id, one.label, one.text) for one in self.nameless]
        write_table(folder / "nameless.csv", nameless, WITH_AUTHORS[:3])
        date = "Mon Apr 06 22:19:45 PDT 2009"
        sentiment140 = [("4", one.id, date, "NO_QUERY", one.user, one.text) for one in self.unlabelled]
        write_table(folder / "unlabelled.csv", sentiment140[1:], sentiment140[0])

    def _tweets(self, prefix: str, numbers: Sequence[int], count: int) -> list[Tweet]:
        rng = self._rng
        chosen = [*numbers, *rng.choices(numbers, k=max(0, count - len(numbers)))]
        rng.shuffle(chosen)
        rows = []
        for place, number in enumerate(chosen):
            author = f"user{rng.randrange(90)}"
            text, user = rng.choice(list(COPIES.values()))(tweet_text(number)), rng.choice(SPELLINGS)(author)
            rows.append(Tweet(f"{prefix}{place}", number, author, rng.choice(("0", "4")), text, user))
        self.tweets |= {one.id: one for one in rows}
        return rows
