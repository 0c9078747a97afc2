"""NLTK's patterns come without all of NLTK, which is left as it was found."""

import subprocess
import sys
import textwrap
from pathlib import Path

from nltk.tokenize import casual

from sentiment.data.text import tweet_patterns


def _run(code: str, *first_on_path: Path) -> str:
    head = f"import sys; sys.path[:0] = {list(map(str, first_on_path))!r}\n"
    done = subprocess.run([sys.executable, "-c", head + textwrap.dedent(code)], capture_output=True, text=True)
    assert not done.returncode, done.stderr
    return done.stdout.strip()


def test_the_patterns_are_those_of_nltk() -> None:
    tokens, hanging = tweet_patterns()
    alone = _run("""
        from sentiment.data.text import tweet_patterns
        print([(one.pattern, one.flags) for one in tweet_patterns()])
    """)
    assert alone == str([(one.pattern, one.flags) for one in (tokens, hanging)])
    assert tokens.pattern == casual.TweetTokenizer().PHONE_WORD_RE.pattern
    assert hanging.pattern == casual.HANG_RE.pattern


def test_a_tokenizer_imports_nothing_slow_and_leaves_nltk_to_be_imported_in_full() -> None:
    said = _run("""
        from sentiment.config import TextConfig
        from sentiment.data.text import Tokenizer
        before = Tokenizer(TextConfig())("so happy :-) !!!!! 555-123-4567")
        print(sorted({"nltk", "sklearn", "scipy", "pandas", "torch"} & set(sys.modules)))
        import nltk
        print(nltk.word_tokenize.__module__, nltk.TweetTokenizer().tokenize("x :-)"))
        print(Tokenizer(TextConfig())("so happy :-) !!!!! 555-123-4567") == before)
    """)
    assert said.splitlines() == ["[]", "nltk.tokenize ['x', ':-)']", "True"]
