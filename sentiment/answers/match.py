"""Tables with the answers of a predictor from elsewhere: their classes, and the tweets that they are answers to.

Does not import torch.
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence, Set
from pathlib import Path
from typing import NamedTuple

from sentiment.answers.sheet import SKIPPED_WORD, whole_text
from sentiment.answers.table import AnswerTable
from sentiment.data.classes import Classes, Meanings, is_number, word_of
from sentiment.data.guess_columns import Reading
from sentiment.data.rows import RowCounter
from sentiment.data.table import (
    ID_NAMES,
    LABEL_NAMES,
    MAX_EXACT,
    ROUNDED,
    TEXT_NAMES,
    Column,
    RawRow,
    Refusal,
    Table,
    abbreviated,
    as_text,
)
from sentiment.data.table_files import open_table
from sentiment.errors import DataError, UsageError, shortened

# Names of columns with answers, the clearest first. Beside one of them, a column `label` is taken as the true label.
# lm-evaluation-harness logs the answer to each sample as `filtered_resps`, and the tweet's columns as `doc.NAME`.
_PREDICTED = ("predicted_label", "prediction", "predicted", "pred", "answer", "filtered_resps")
NO_ANSWER = "no answer"
_SEVERAL_ANSWERS = "tweet with several answers"
_WHOLE = re.compile(r"(0|[1-9]\d{0,15})(?:\.0+)?", re.ASCII)
# Columns that lm-evaluation-harness writes; in its logs only `filtered_resps` is an answer.
_LOGGED = ("doc", "doc_id", "resps", "filtered_resps")


class AnswersFile(NamedTuple):
    """A table of answers, and how it is read.

    Attributes:
        reading: its column of texts is recognised by its name if none is given.
        label: the column of answers; None: likewise.
        predictor: the name of the predictor, which a column of answers may have.
    """

    path: Path
    reading: Reading = Reading()
    label: Column | None = None
    predictor: str = ""


class MatchedAnswers(NamedTuple):
    """The answers of a table to some tweets.

    Attributes:
        classes: by the tweet's index the index of a class, or None for an answer that is none of the classes.
        answered: the number of rows with an answer.
        others: rows whose answer is none of the classes.
    """

    classes: dict[int, int | None]
    answered: int
    left_out: RowCounter
    others: RowCounter


# --- what answers mean ------------------------------------------------------------------------------------------------


def values_of_answers(file: AnswersFile) -> set[str]:
    """The different answers of a table, lower-cased."""
    return {word_of(row.label) for row in _rows(file) if not isinstance(row, Refusal)} - {"", SKIPPED_WORD}


def classes_of_answers(answers: Set[str], known: Classes | None, origin: str) -> Classes:
    """The classes of tweets without labels, each with its labels: those that all lower-cased answers name.

    Args:
        known: those of earlier answers, None if there are none. They are kept if all answers are of them.
        origin: where the answers stand; begins the message.

    Raises:
        UsageError: it is not clear which classes the answers name.
    """
    classes = known.extended_by(answers) if known else Classes.understand(answers)
    if classes:
        return classes
    shown = abbreviated([repr(shortened(answer)) for answer in sorted(answers)])
    earlier = f"; so far the classes are {', '.join(known.names)}" if known else ""
    raise UsageError(
        f"{origin}: it is not clear which classes the answers name: {shown}{earlier}. Name all classes from the most "
        "negative to the most positive one, and their answers: --classes 'negative=neg,bad neutral positive'"
    )


# --- which tweets are answered ----------------------------------------------------------------------------------------


def match(file: AnswersFile, table: AnswerTable, noun: str, meanings: Meanings) -> MatchedAnswers:
    """The answers of a file to the tweets of a table, by their ids, else by their whole texts.

    Args:
        noun: what messages call the tweets of the table.

    Raises:
        SentimentError: the file or its columns cannot be found, a row has no valid answer, the text of an id has been
            changed, or too many rows cannot be read.
    """
    finder = _Finder(table, noun)
    matched = MatchedAnswers({}, 0, RowCounter(), RowCounter())
    classes = matched.classes
    left_out = matched.left_out
    contradicted: dict[int, int] = {}  # the line of the second answer, by the index of the tweet
    answered = 0
    refused = RowCounter()
    rows = 0
    for row in _rows(file):
        rows += 1
        if isinstance(row, Refusal):
            left_out.add(row.reason, row.line)
            refused.add(row.reason, row.line)
            continue
        if not row.label or (word_of(row.label) == SKIPPED_WORD and SKIPPED_WORD not in meanings):
            left_out.add(NO_ANSWER, row.line)
            continue
        try:
            answer = _class_of(row.label, meanings)
            indices = finder.find(row.id, row.text)
        except ValueError as error:
            raise DataError(f"{file.path}:{row.line}: {error}") from None
        answered += 1
        if not indices:
            left_out.add(finder.why_unknown(row.id), row.line)
            continue
        # A text may stand for several tweets, of which some may have been answered by an earlier row.
        is_first_answer = any(index not in classes for index in indices)
        differing = [index for index in indices if classes.setdefault(index, answer) != answer]
        contradicted |= dict.fromkeys(differing, row.line)
        if is_first_answer and answer is None:
            reason = f"with the answer {shortened(row.label)!r}, which is none of the classes: wrong"
            matched.others.add(reason, row.line)
        elif not is_first_answer and not differing:
            left_out.add("duplicate tweet", row.line)
    refused.check(str(file.path), rows, file.reading.leave_out)
    for index, line in contradicted.items():  # it is unknown which answer counts
        left_out.add(_SEVERAL_ANSWERS, line)
        del classes[index]
    return matched._replace(answered=answered)


class _Finder:
    """Finds the tweets of a table, which messages call `noun`."""

    def __init__(self, table: AnswerTable, noun: str) -> None:
        self._texts = table.texts if table.has_texts else ()
        self._index_by_id = {tweet_id: index for index, tweet_id in enumerate(table.ids)}
        self._indices_by_number = defaultdict(list)
        for index, tweet_id in enumerate(table.ids):
            number = _whole_number(tweet_id)
            if number is not None:
                self._indices_by_number[number].append(index)
        self._unknown = f"not among the {noun}"
        rounded = next(filter(ROUNDED.fullmatch, table.ids), "")
        if rounded:
            self._unknown += f", of which ids were rounded, such as {rounded!r}"
        self._rounded = ""  # the first id of an answer that is so
        self._indices_by_text = defaultdict(list)
        for index, text in enumerate(self._texts):
            self._indices_by_text[whole_text(text)].append(index)

    def find(self, tweet_id: str, text: str) -> list[int]:
        """The index of the tweet with an id, else the indices of those with the same whole text; none if it is unknown.

        Ids may be the same whole number in two spellings, unless the table has both as ids.

        Raises:
            ValueError: the text of this id has been changed.
        """
        index = self._index_by_id.get(tweet_id)
        if index is None:
            number = _whole_number(tweet_id)
            same_number = [] if number is None else self._indices_by_number.get(number, [])
            index = same_number[0] if len(same_number) == 1 else None
        if index is None:
            return self._indices_by_text.get(whole_text(text), []) if text else []
        if text and self._texts and whole_text(text) != whole_text(self._texts[index]):
            raise ValueError(f"the text of tweet {tweet_id} has changed: {shortened(text)!r}")
        return [index]

    def why_unknown(self, tweet_id: str) -> str:
        """Why no tweet has an id."""
        if not ROUNDED.fullmatch(tweet_id):
            return self._unknown
        self._rounded = self._rounded or tweet_id
        return f"id that was rounded, such as {self._rounded!r}; ids that are kept as text match"


def _whole_number(tweet_id: str) -> int | None:
    """The whole number that an id is, also as pandas writes it where an id is missing: `12.0`; None if it is none."""
    number = _WHOLE.fullmatch(tweet_id)
    value = int(number[1]) if number else MAX_EXACT
    return value if value < MAX_EXACT else None  # larger ones may have been rounded


class _AnswerRow(NamedTuple):
    """A row of a table of answers; empty where it has no id, no text or no answer."""

    line: int
    id: str
    text: str
    label: str


def _rows(file: AnswersFile) -> Iterator[_AnswerRow | Refusal]:
    given = (file.reading.text_column, file.label, file.predictor)
    expected = [*filter(None, given), *ID_NAMES, *TEXT_NAMES, *_PREDICTED, *LABEL_NAMES]
    table = open_table(file.path, expected, quotes=file.reading.quotes)
    id_column, text_column, label_column = _columns_of(table, file)
    for record in table.read(range(len(table.names))):
        if isinstance(record, Refusal):
            yield record
            continue
        try:
            label = _label_of(record, label_column)
        except ValueError as error:
            raise DataError(f"{file.path}:{record.line}: {error}") from None
        yield _AnswerRow(record.line, _cell(record, id_column), _cell(record, text_column), label)


def _columns_of(table: Table, file: AnswersFile) -> tuple[int | None, int | None, int]:
    """The indices of the columns with ids, texts and labels; None for one that the table lacks.

    Of several that may hold labels, the name that is the clearest counts.

    Raises:
        ConfigError, UsageError: a named column is missing, or no column looks like tweets or like answers.
    """

    def first(column: Column | None, usual: Sequence[str]) -> int | None:
        return table.usual_index(usual) if column is None else table.index(column, str(table.path))

    text = first(file.reading.text_column, TEXT_NAMES)
    # doc_id is only the number of a row, so it is used only if there is no text.
    tweet_id = first(None, ID_NAMES if text is not None else (*ID_NAMES, "doc_id"))
    is_log = any(name in _LOGGED or name.startswith("doc.") for name in table.names)
    label = first(file.label, _PREDICTED if is_log else (*_PREDICTED, file.predictor.lower(), *LABEL_NAMES))
    shown = ", ".join(map(repr, table.names))
    if tweet_id is None and text is None:
        raise UsageError(
            f"{table.path}: no column name looks like an id or a text; name it with --text-column: {shown}"
        )
    if label is None:
        raise UsageError(f"{table.path}: no column name looks like a label; name it with --label-column: {shown}")
    return tweet_id, text, label


def _cell(record: RawRow, column: int | None) -> str:
    return "" if column is None else as_text(record.fields[column]).strip()


def _label_of(record: RawRow, column: int) -> str:
    """The label in a column; empty if there is none.

    A list is what lm-evaluation-harness logs: a generated text, or the log-likelihood of each choice, of which the
    highest one counts.

    Raises:
        ValueError: the list is not of that form.
    """
    logged = answer = record.fields[column]
    try:
        if isinstance(answer, list) and len(answer) > 1:
            likelihoods = [float(choice[0]) for choice in answer]
            if any(map(math.isnan, likelihoods)):
                raise ValueError("a likelihood is not a number")
            best = likelihoods.index(max(likelihoods))
            answer = (record.json_object or {})["arguments"][f"gen_args_{best}"]["arg_1"]
        while isinstance(answer, list):
            answer = answer[0]
    except (TypeError, ValueError, LookupError):
        raise ValueError(f"{shortened(str(logged))} is not an answer as lm-evaluation-harness logs it") from None
    return as_text(answer).strip()


def _class_of(label: str, meanings: Meanings) -> int | None:
    """The index of the class that a label means; None for a word that is none of the classes.

    Raises:
        ValueError: the label is an unknown number, such as a probability.
    """
    if word_of(label) not in meanings and is_number(label):
        known = ", ".join(map(repr, meanings))
        raise ValueError(f"{shortened(label)!r} is not a label ({known}; --classes names others)")
    return meanings.get(word_of(label))
