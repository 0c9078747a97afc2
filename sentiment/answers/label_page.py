"""The page to label tweets on: one HTML file, which works offline, keeps labels in the browser and writes a table."""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sentiment.blocks.wording import json_in_html
from sentiment.console import visible
from sentiment.files import fingerprint

_FOLDER = Path(__file__).parent


class Labelling(NamedTuple):
    """What a sheet asks for.

    Attributes:
        rows: the id and the text of each tweet, in the order of labelling.
        classes: from the most negative to the most positive one; on a page, the keys 1 to 9 give the first nine, or
            digits the classes that are called so.
        enough: the number of labels from which on they can be used.
        may_skip: whether a tweet may be skipped.
        guidelines: a text that says what each class means, shown on a page; empty: none are shown.
        own_ids: what the user's table calls the tweets, parallel to `rows`; empty: as the ids say.
    """

    rows: Sequence[tuple[str, str]]
    classes: Sequence[str]
    enough: int
    may_skip: bool
    guidelines: str = ""
    own_ids: Sequence[str] = ()


def label_page(name: str, labelling: Labelling) -> bytes:
    """The page, in UTF-8. Only its own script and style may run; tweets are inserted as plain text.

    Args:
        name: of the table that it downloads, without `.csv`.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    style = _resource("label_page.css")
    script = _resource("label_page.js")
    tweets = [{"id": tweet_id, "text": text} for tweet_id, text in labelling.rows]
    classes = [*labelling.classes]
    key = fingerprint([classes, [tweet_id for tweet_id, _ in labelling.rows]])[:16]
    data: dict[str, Any] = {"name": name, "rows": tweets, "classes": classes, "key": key}
    data |= {"enough": labelling.enough, "maySkip": labelling.may_skip, "ownIds": [*labelling.own_ids]}
    templates = Environment(loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined)
    page = templates.get_template("label_page.html.j2").render(
        name=visible(name),
        count=len(tweets),
        style=Markup(style),  # noqa: S704 - a file of this package
        script=Markup(script),  # noqa: S704 - a file of this package
        style_hash=_hash(style),
        script_hash=_hash(script),
        data=json_in_html(data),
        may_skip=labelling.may_skip,
        guidelines=labelling.guidelines,
    )
    return page.encode("utf-8", "replace")


def _resource(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    """The hash by which a content security policy names a script or a style."""
    return base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
