"""Pydantic models of a prepared corpus: its row counts, and the manifest of its files."""

from typing import NamedTuple

from sentiment.console import plural
from sentiment.runs.records import Part, Record

MANIFEST = "manifest.json"
# A reason to drop a valid row.
DUPLICATE = "duplicates dropped"
# Differences between the shares of a class in two parts that are told. Parts are drawn by hashes of authors or texts,
# so that all tweets of an author are in one part; their shares differ by chance.
_UNEQUAL = 0.05


class CountedRows(Record):
    """Number of rows rejected for one reason, with the lines at which the first few begin."""

    count: int
    lines: list[int]

    def __str__(self) -> str:
        more = ", …" if self.count > len(self.lines) else ""
        return f"line {', '.join(map(str, self.lines))}{more}"


class PartCount(Record):
    """Number of tweets of one part, and of each class among them, from the most negative to the most positive."""

    rows: int
    classes: list[int]


class TableCount(Record):
    """Numbers of read and kept rows of an additional table."""

    read: int
    kept: int  # in its test set, or in the training part


class CorpusReport(Record):
    """Row counts: kept + left out + refused = read."""

    classes: list[str]  # their names, from the most negative to the most positive
    tests: dict[str, TableCount]
    extra_train: tuple[TableCount, ...]
    unlabelled: tuple[TableCount, ...] = ()  # of the texts from which only word vectors are learned
    read: int  # of the source and of all additional tables
    kept: int
    left_out: dict[str, int]  # by the reason, such as DUPLICATE
    refused: dict[str, CountedRows]
    remarks: dict[str, CountedRows]  # what may be a mistake in a file, though the row is used
    parts: dict[Part, PartCount]
    tokens: int
    types: int
    # SHA-256 of the main table's tweets with their labels, and authors and parts if it has them: of all, also of those
    # that are left out, and whatever the order of the rows. Other tables and the cleaning of texts do not change it.
    table_sha256: str
    unnamed_authors: dict[str, str]  # columns that may name the authors but are not used, by the section of the table

    @property
    def duplicates(self) -> int:
        """Rows that were left out as copies of another one with the same label."""
        return self.left_out.get(DUPLICATE, 0)

    def render_lines(self) -> list[str]:
        lines = [f"{self.read:,} rows read, {self.kept:,} kept"]
        lines += [f"  {count:,} {reason}" for reason, count in self.left_out.items()]
        lines += [f"  {rows.count:,} unusable: {reason} ({rows})" for reason, rows in self.refused.items()]
        lines += [f"  {plural(rows.count, 'row')} {remark} ({rows})" for remark, rows in self.remarks.items()]
        for index, extra in enumerate(self.extra_train):
            lines.append(f"  data.extra_train.{index}: {extra.kept:,} of {extra.read:,} rows kept for training")
        for part, rows in self.parts.items():
            table = f" of {self.tests[part].read:,} rows" if part in self.tests else ""
            shares = [f"{n / rows.rows:.1%} {name}" for name, n in zip(self.classes, rows.classes, strict=True)]
            lines.append(f"  {part}: {rows.rows:,} tweets{table}, {', '.join(shares)}")
        lines += self._unequal_parts()
        for section, column in self.unnamed_authors.items():
            lines.append(
                f"  column {column!r} may name the authors: with {section}.columns.user={column} all tweets of an "
                "author are in one part, and none of a held-out author is trained on"
            )
        lines.append(f"  {self.tokens:,} tokens of {self.types:,} types, {self.tokens / self.kept:.1f} per tweet")
        return lines

    def _unequal_parts(self) -> list[str]:
        """A line for each part with clearly more or fewer tweets of a class than the training part has."""
        lines = []
        train = self.parts["train"]
        for part in ("validation", "test"):
            rows = self.parts[part]
            for name, count, in_train in zip(self.classes, rows.classes, train.classes, strict=True):
                difference = count / max(rows.rows, 1) - in_train / max(train.rows, 1)
                if abs(difference) > _UNEQUAL:
                    points = f"{100 * abs(difference):.1f} points {'more' if difference > 0 else 'less'}"
                    lines.append(f"  {part} has {points} of {name} than train: parts are not stratified by class")
        return lines


class PublishedData(NamedTuple):
    """A built-in data set as model cards and papers name it.

    Attributes:
        hub: its name at the Hugging Face Hub, if it is there.
    """

    name: str
    licence: str
    citation: str
    hub: str | None = None


_VADER = "Hutto & Gilbert (2014), VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text"
_GO = "Go, Bhayani & Huang (2009), Twitter Sentiment Classification using Distant Supervision"
_TWEETEVAL = "Barbieri et al. (2020), TweetEval: Unified Benchmark and Comparative Evaluation for Tweet Classification"
_SEMEVAL = "Rosenthal, Farra & Nakov (2017), SemEval-2017 Task 4: Sentiment Analysis in Twitter"
# By the name of the source.
PUBLISHED_DATA: dict[str, PublishedData] = {
    "vader": PublishedData("tweets of VADER", "MIT", _VADER),
    "sample": PublishedData("1,000 tweets of VADER", "MIT", _VADER),
    "sentiment140": PublishedData("Sentiment140", "none is stated", _GO, "stanfordnlp/sentiment140"),
    "tweeteval": PublishedData(
        "TweetEval, sentiment", "CC BY 3.0", f"{_TWEETEVAL}; {_SEMEVAL}", "cardiffnlp/tweet_eval"
    ),
}


class MadeCorpus(Record):
    """`made-from/KEY.json`: the fingerprint of the corpus that was made from some files, settings and code."""

    fingerprint: str


class Manifest(Record):
    """`manifest.json`: the fingerprint and row counts of a corpus.

    Attributes:
        fingerprint: SHA-256 of its content, whatever code it was made by.
        sha256: the digests of the corpus's files.
    """

    fingerprint: str
    report: CorpusReport
    sha256: dict[str, str]
