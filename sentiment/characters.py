"""Text of tweets, files and users as it may be shown: what steers a terminal or turns text around is written out."""

import re
import unicodedata

# Marks that reverse, embed or hide text; a reader is shown that they are there.
_DIRECTION = re.compile("[\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
# Everything that separates words or lines, except for the no-break space, which is kept.
_BLANK = re.compile("[ \t\r\n\f\v\x1c-\x1f\x85\u2028\u2029]+")
_STEERING = ("Cc", "Cs", "Cn")


def visible(text: str) -> str:
    """One line of printable characters: control and direction marks are written out as `U+202E`."""
    return _written_out(_BLANK.sub(" ", text).strip(" "))


def printable(text: str) -> str:
    """The same for text of several lines, which stay as they are."""
    if text.isascii() and text.isprintable():
        return text
    return "\n".join(_written_out(line) for line in text.split("\n"))


def _written_out(text: str) -> str:
    text = _DIRECTION.sub(lambda mark: _named(mark[0]), text)
    return "".join(
        _named(character) if unicodedata.category(character) in _STEERING else character for character in text
    )


def _named(character: str) -> str:
    return f"\u27e8U+{ord(character):04X}\u27e9"
