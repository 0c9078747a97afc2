"""Blocks in the terminal: sentences as lines, tables without rules."""

import textwrap
from collections.abc import Iterable

from rich.markup import escape
from rich.table import Table

from sentiment.blocks.content import Bullets, Content, DataTable, Tiles
from sentiment.blocks.wording import plain
from sentiment.console import OUT, number_table, printable, say

# The least width of a title, in letters.
_LEAST_WIDTH = 8


def show(blocks: Iterable[Content]) -> None:
    """Print blocks, one below the other."""
    for block in blocks:
        if isinstance(block, DataTable):
            OUT.print(_table(block))
        elif isinstance(block, Bullets):
            say("\n".join(f"  {plain(item)}" for item in block.items))
        elif isinstance(block, Tiles):
            say("\n".join(f"{plain(term):<13}{plain(value)}" for term, value in block.items))
        else:
            say(plain(block.text))


def _table(table: DataTable) -> Table:
    """The rows below the caption, which is the title of the first column."""
    first, *others = table.columns
    width = max(OUT.width // len(table.columns) - 2, _LEAST_WIDTH)
    titles = ["\n".join(textwrap.wrap(column.title, width)) for column in others]
    shown = number_table(printable(plain(table.caption or first.title)), titles)
    for row in table.shown:
        cells = [escape(printable(plain(column.show(row)))) for column in table.columns]
        shown.add_row(f"  {cells[0]}", *cells[1:], style="bold" if row is table.best else "")
    return shown
