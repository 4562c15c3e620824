"""Tables for a paper: LaTeX with booktabs, every text escaped."""

from __future__ import annotations

import re

from .tables import Table

_SPECIAL = re.compile(r"[\\&%$#_{}~^<>|−–\"]")
_WRITTEN = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "−": "$-$",
    "–": "--",
}


def escape(value: object) -> str:
    """The value as one line of LaTeX that prints as the value's own text (T1 fonts)."""
    line = " ".join(str(value).split())
    return _SPECIAL.sub(lambda m: _WRITTEN.get(m[0], f"\\{m[0]}"), line)


def tabular(table: Table) -> str:
    r"""A `tabular` with `\toprule`, `\midrule`, `\bottomrule`; numbers to the right."""
    columns = "".join("r" if numeric else "l" for numeric in table.numeric)
    lines = [
        "% needs \\usepackage[T1]{fontenc} and \\usepackage{booktabs}",
        f"\\begin{{tabular}}{{{columns}}}",
        "\\toprule",
        _row(table.headers),
        "\\midrule",
        *(_row(row) for row in table.rows),
        "\\bottomrule",
        "\\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _row(cells: tuple[str, ...]) -> str:
    # Braces keep a leading [ from being read as an argument of the \\ of the row before.
    return (
        " & ".join(f"{{{escape(c)}}}" if c.startswith("[") else escape(c) for c in cells) + r" \\"
    )
