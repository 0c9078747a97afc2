"""Which tokens are emoticons, and what they say."""

import re

SMILE, FROWN, EMOTICON = "<smile>", "<frown>", "<emoticon>"

# The shapes that NLTK's TweetTokenizer keeps together: a face from either side, or a heart.
_FACE = re.compile(
    r"""
    [<>]? [:;=8] [-o*']? (?P<mouth> [)\](\[dDpP/:}{@|\\] )
  | (?P<mirrored> [)\](\[dDpP/:}{@|\\] ) [-o*']? [:;=8] [<>]?
    """,
    re.VERBOSE | re.IGNORECASE,
)
_LONGEST = 4
_HEARTS = {"<3": SMILE, "</3": FROWN}
_MOUTHS = dict.fromkeys(")]}dp", SMILE) | dict.fromkeys("([{", FROWN)
_MIRRORED_MOUTHS = dict.fromkeys("([{", SMILE) | dict.fromkeys(")]}d", FROWN)


def mask_of(token: str) -> str | None:
    """`<smile>`, `<frown>` or, for any other face, `<emoticon>`; None if the token is no emoticon.

    A heart counts as a smile, a broken one as a frown.
    """
    if len(token) > _LONGEST or token.isalpha():
        return None
    if token in _HEARTS:
        return _HEARTS[token]
    match = _FACE.fullmatch(token)
    if match is None:
        return None
    if mouth := match["mouth"]:
        return _MOUTHS.get(mouth.lower(), EMOTICON)
    return _MIRRORED_MOUTHS.get(match["mirrored"].lower(), EMOTICON)
