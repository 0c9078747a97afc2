"""What stands between the fields of a delimited file, judged by its first lines."""

from contextlib import closing
from itertools import islice
from pathlib import Path

from sentiment.data.tables.lines import read_lines
from sentiment.errors import DataError

_LINES = 50
_OTHERS = (";", "\t", "|")
# Of the lines after the first, how many must have as many fields; tweets hold semicolons and line breaks themselves.
_SHARE = 0.8


def delimiter_of(path: Path) -> str:
    """A tab for names that end in `.tsv` or `.tab`; else a comma, unless the first lines know none.

    Another delimiter (semicolon, tab or bar) is taken if the first line, which should name the columns, holds it and no
    comma, and most of the next lines hold it as often or more often. Spreadsheets write semicolons in many countries.

    Raises:
        DataError: the file cannot be read.
    """
    plain = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    if plain.suffix.lower() in (".tsv", ".tab"):
        return "\t"
    try:
        with closing(read_lines(path)) as lines:
            first, *others = [line for line in islice(lines, _LINES) if line.strip()] or [""]
    except DataError:
        return ","  # reading the rows will say what is wrong
    if "," in first:
        return ","
    for delimiter in _OTHERS:
        count = first.count(delimiter)
        if count and sum(line.count(delimiter) >= count for line in others) >= _SHARE * len(others):
            return delimiter
    return ","
