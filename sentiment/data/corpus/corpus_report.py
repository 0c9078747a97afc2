"""What became of the rows from which a corpus was made."""

from sentiment.data.rows import SPANNING, CountedLines
from sentiment.runs.records import Part, Record


class PartCount(Record):
    """The size of one part."""

    rows: int
    positive: int


class TestCount(Record):
    """A further test set: the table's name and number of rows; its tweets that are kept stand among the parts."""

    file: str
    read: int


class ExtraCount(Record):
    """What became of the rows of one table for training alone; all are in the sums of the report as well.

    Attributes:
        held_out_texts: left out since the validation part or a test part has the same tweet.
        held_out_authors: left out since the validation part or a test part has another tweet of the author.
        unknown_authors: kept, although an author of validation or test may have written them: one of the two authors is
            not known.
    """

    name: str
    read: int
    kept: int
    held_out_texts: int
    held_out_authors: int
    unknown_authors: int


class CorpusReport(Record):
    """What became of the rows: kept, duplicates, reserved, ignored, thinned, held out, in surplus and refused add up to
    `read`.

    Attributes:
        tests: further test sets by name.
        read: rows of the source, of further test sets and of tables for training alone.
        duplicates: rows that are the same tweet as an earlier row.
        contradictory: duplicates whose label differs from that of the row that was kept.
        reserved: training rows whose text or author is in a further test set.
        tested_twice: validation and test rows that a further test set has as well.
        ignored: rows with a label or a rating that the configuration leaves out.
        thinned: rows left out because of `max_rows`.
        held_out: rows for training alone whose text or author is in the validation part or a test part.
        surplus: training rows left out because of `train_rows`.
        refused: by reason.
        spanning: rows that span several lines, whatever became of them.
    """

    source: str
    tests: dict[str, TestCount]
    read: int
    kept: int
    duplicates: int
    contradictory: int
    reserved: int
    tested_twice: int
    ignored: int
    thinned: int
    held_out: int
    surplus: int
    extra_train: tuple[ExtraCount, ...]
    refused: dict[str, CountedLines]
    spanning: CountedLines
    parts: dict[Part, PartCount]
    tokens: int
    types: int

    def render_lines(self) -> list[str]:
        """The report as lines of text for a terminal."""
        losses = (
            (self.duplicates, f"duplicates dropped, {self.contradictory:,} of them with the other label"),
            (self.reserved, "dropped from training since a further test set holds their text or author"),
            (self.ignored, "left out: neutral or ignored label"),
            (self.thinned, "left out by data.max_rows"),
            (self.held_out, "of data.extra_train dropped since validation or test hold their text or author"),
            (self.surplus, "left out by data.train_rows"),
            *((rows.count, f"refused: {reason} ({rows})") for reason, rows in self.refused.items()),
            (self.spanning.count, f"{SPANNING} ({self.spanning}), as their quotes say"),
        )
        lines = [f"{self.source}: {self.read:,} rows read, {self.kept:,} kept"]
        lines += [f"  {count:,} {what}" for count, what in losses if count]
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
