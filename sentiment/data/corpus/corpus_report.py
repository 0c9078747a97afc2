"""How many rows of a source were kept, and why the others were not: counted, checked, and shown as text."""

from collections.abc import Iterable

from sentiment.data.tables.refusals import SPANNING, CountedLines, RowCounter
from sentiment.errors import DataError
from sentiment.records import PARTS, Part, Record

_REFUSED_AT_MOST = 0.05
# With fewer rows, other fractions would not help.
_FEW = 50
_ALWAYS_TOLERATED = 10
NO_TOKEN = "no token left"  # noqa: S105


class PartCount(Record):
    """The size of one part."""

    rows: int
    positive: int


class TestCount(Record):
    """A further test set; its tweets that are kept stand among the parts."""

    file: str
    """The table's name."""
    read: int
    """Rows."""


class ExtraCount(Record):
    """What became of the rows of one table for training alone; all are in the sums of the report as well."""

    name: str
    read: int
    kept: int
    held_out_texts: int
    """Left out since the validation part or a test part has the same tweet."""
    held_out_authors: int
    """Left out since the validation part or a test part has another tweet of the author."""
    unknown_authors: int
    """Kept, although an author of validation or test may have written them: one of the two authors is not known."""


class CorpusReport(Record):
    """What became of the rows: kept, duplicates, reserved, ignored, thinned, held out, in surplus and refused add up to
    `read`."""

    source: str
    tests: dict[str, TestCount]
    """By name."""
    read: int
    """Rows of the source, of further test sets and of tables for training alone."""
    kept: int
    duplicates: int
    """Rows that are the same tweet as an earlier row."""
    contradictory: int
    """Duplicates whose label differs from that of the row that was kept."""
    reserved: int
    """Training rows whose text or author is in a further test set."""
    tested_twice: int
    """Validation and test rows that a further test set has as well."""
    ignored: int
    """Rows with a label or a rating that the configuration leaves out."""
    thinned: int
    """Rows left out because of `max_rows`."""
    held_out: int
    """Rows for training alone whose text or author is in the validation part or a test part."""
    surplus: int
    """Training rows left out because of `train_rows`."""
    extra_train: tuple[ExtraCount, ...]
    refused: dict[str, CountedLines]
    """By reason."""
    spanning: CountedLines
    """Rows that span several lines, whatever became of them."""
    parts: dict[Part, PartCount]
    tokens: int
    types: int

    def render_lines(self) -> list[str]:
        """The report as lines of text for a terminal."""
        lines = [f"{self.source}: {self.read:,} rows read, {self.kept:,} kept"]
        lines += [f"  {count:,} {what}" for count, what in self._losses() if count]
        lines += [f"  {rows.count:,} refused: {reason} ({rows})" for reason, rows in self.refused.items()]
        if self.spanning.count:
            lines.append(f"  {self.spanning.count:,} {SPANNING} ({self.spanning}), as their quotes say")
        for extra in self.extra_train:
            lines.append(
                f"  {extra.name}: {extra.kept:,} of {extra.read:,} rows kept for training; of validation or test have "
                f"{extra.held_out_texts:,} the text and {extra.held_out_authors:,} the author, and left out"
            )
            if extra.unknown_authors:
                lines.append(
                    f"    {extra.unknown_authors:,} of the kept rows may be by authors of validation or test: one of "
                    "the tables does not name authors (columns.user)"
                )
        if self.tested_twice:
            lines.append(f"  {self.tested_twice:,} tweets of validation or test are in a further test set as well")
        for part, count in self.parts.items():
            of = f" of {self.tests[part].read:,} rows of {self.tests[part].file}" if part in self.tests else ""
            lines.append(f"  {part}: {count.rows:,} tweets{of}, {count.positive / count.rows:.1%} positive")
        lines.append(f"  {self.tokens:,} tokens of {self.types:,} types, {self.tokens / self.kept:.1f} per tweet")
        return lines

    def _losses(self) -> Iterable[tuple[int, str]]:
        yield self.duplicates, f"duplicates dropped, {self.contradictory:,} of them with the other label"
        yield self.reserved, "dropped from training since a further test set holds their text or author"
        yield self.ignored, "left out: neutral or ignored label"
        yield self.thinned, "left out by data.max_rows"
        yield self.held_out, "of data.extra_train dropped since validation or test hold their text or author"
        yield self.surplus, "left out by data.train_rows"


class ExtraTally:
    """Counts of one table for training alone, whose tweets have a weight there."""

    def __init__(self, name: str, weight: float) -> None:
        self.name, self.weight = name, weight
        self.read = self.kept = self.held_out_texts = self.held_out_authors = self.unknown_authors = 0

    def counted(self) -> ExtraCount:
        """The counts as a part of the report."""
        return ExtraCount(
            name=self.name,
            read=self.read,
            kept=self.kept,
            held_out_texts=self.held_out_texts,
            held_out_authors=self.held_out_authors,
            unknown_authors=self.unknown_authors,
        )


class Tally:
    """Counts while a corpus is prepared.

    Args:
        tests: the names of further test sets.
    """

    def __init__(self, tests: Iterable[str]) -> None:
        self._parts = (*PARTS, *tests)
        self.tests: dict[str, TestCount] = {}
        self.read = self.kept = self.duplicates = self.contradictory = 0
        self.reserved = self.ignored = self.thinned = self.surplus = self.tested_twice = self.tokens = 0
        self.extra_train: list[ExtraTally] = []
        self._refused, self._spanning = RowCounter(), RowCounter()
        self._rows = [0] * len(self._parts)
        self._positive = [0] * len(self._parts)

    def refuse(self, reason: str, line: int) -> None:
        """Count a row that cannot be used."""
        self._refused.add(reason, line)

    def span(self, line: int) -> None:
        """Count a row that spans several lines, besides what else becomes of it."""
        self._spanning.add(SPANNING, line)

    def keep(self, part: int, label: int, tokens: int) -> None:
        """Count a row that is used."""
        self.kept += 1
        self.tokens += tokens
        self._rows[part] += 1
        self._positive[part] += label

    def report(self, source: str, types: int) -> CorpusReport:
        """The counts as a report, after checking that the corpus can be used.

        Args:
            source: the source's name.
            types: number of distinct tokens.

        Raises:
            DataError: there is no row, too many were refused, or a part lacks positive or negative tweets.
        """
        if not self.read:
            raise DataError(f"{source}: holds no rows")
        self._check_refused(source)
        self._check_parts(source)
        return CorpusReport(
            source=source,
            tests=self.tests,
            read=self.read,
            kept=self.kept,
            duplicates=self.duplicates,
            contradictory=self.contradictory,
            reserved=self.reserved,
            tested_twice=self.tested_twice,
            ignored=self.ignored,
            thinned=self.thinned,
            held_out=sum(extra.held_out_texts + extra.held_out_authors for extra in self.extra_train),
            surplus=self.surplus,
            extra_train=tuple(extra.counted() for extra in self.extra_train),
            refused=self._refused.counted(),
            spanning=self._spanning.counted().get(SPANNING, CountedLines(count=0, lines=[])),
            parts={
                part: PartCount(rows=rows, positive=positive)
                for part, rows, positive in zip(self._parts, self._rows, self._positive, strict=True)
            },
            tokens=self.tokens,
            types=types,
        )

    def _check_refused(self, source: str) -> None:
        malformed = self._refused.total(apart_from=[NO_TOKEN])
        if malformed > max(_ALWAYS_TOLERATED, _REFUSED_AT_MOST * self.read):
            raise DataError(
                f"{source}: {malformed:,} of {self.read:,} rows are malformed, "
                f"more than {_REFUSED_AT_MOST:.0%}: {self._refused.most_common(apart_from=[NO_TOKEN])}"
            )

    def _check_parts(self, source: str) -> None:
        for part, rows, positive in zip(self._parts, self._rows, self._positive, strict=True):
            if part in self.tests:
                if not rows:
                    raise DataError(f"data.tests.{part}: {self.tests[part].file} has no usable row")
            elif not 0 < positive < rows:
                refused = f"; refused were {self._refused.most_common()}" if self._refused.total() else ""
                raise DataError(
                    f"{source}: the {part} part has {positive:,} positive and {rows - positive:,} negative tweets, "
                    f"but both are needed; {self.kept:,} of {self.read:,} rows are used{refused}: {self._advice()}"
                )

    def _advice(self) -> str:
        """What to do if a part lacks a label."""
        rows, positive = sum(self._rows), sum(self._positive)
        if rows and positive in (0, rows):
            found, lacking = ("positive", "negative") if positive else ("negative", "positive")
            return (
                f"all of them are {found}. If other values of the label column mean {lacking}, name them: "
                f"data.labels.{lacking} (--{lacking} VALUE)"
            )
        if rows < _FEW:
            return (
                "that is too few to train, choose and test on; some hundreds are needed for any conclusion. Tweets can "
                "also be predicted by a model that was trained on others"
            )
        fractions = "larger data.validation_fraction and data.test_fraction"
        return f"give more data, a larger data.max_rows or data.train_rows, or {fractions}"
