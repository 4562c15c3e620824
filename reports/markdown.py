"""Markdown that shows text as it is, whatever the text holds."""

from __future__ import annotations

import re

from tabulate import tabulate

from .tables import Table

_SPECIAL = re.compile(r"[\\`*\[\]<>&|~$#]|(?<![^\W_])_|_(?![^\W_])")
_START = re.compile(r"^([-+=])(?=[-+=\s]|$)|^(\d{1,9})([.)])(?=\s|$)")  # a list, a rule, a heading
_ADDRESS = re.compile(r"(?<=http|ttps):(?=//)|(?<=ftp):(?=//)|(?<=www)\.", re.IGNORECASE)
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}


class Written(str):
    """Markdown already; not to be escaped again."""

    __slots__ = ()


def escape(value: object) -> str:
    """The value as one line of Markdown that renders as the value's own text."""
    if isinstance(value, Written):
        return value
    line = " ".join(str(value).split())
    line = _SPECIAL.sub(lambda m: _ENTITIES.get(m[0], f"\\{m[0]}"), line)
    line = _START.sub(lambda m: f"\\{m[1]}" if m[1] else f"{m[2]}\\{m[3]}", line)
    return _ADDRESS.sub(lambda m: f"\\{m[0]}", line)


def code_block(text: str) -> Written:
    """A fenced block; the fence is longer than any run of backticks inside."""
    runs = [len(run) for run in re.findall(r"`+", text)]
    fence = "`" * max(3, 1 + max(runs, default=0))
    return Written(f"{fence}sh\n{text}\n{fence}")


def grid(table: Table) -> Written:
    """A table, its cells escaped, numbers to the right."""
    rows = [[escape(cell) for cell in row] for row in table.rows]
    headers = [escape(header) for header in table.headers]
    sides = ["right" if numeric else "left" for numeric in table.numeric]
    return Written(
        tabulate(rows, headers, tablefmt="pipe", colalign=sides, disable_numparse=True)
        if rows
        else ""
    )
