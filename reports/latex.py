"""Tables for a paper: LaTeX with booktabs, every text escaped."""

from __future__ import annotations

import re
from unicodedata import normalize

from .tables import Table

# What plain pdflatex prints in T1: ASCII, and the letters of Europe.
_LETTERS = "\\x20-\\x7eÀ-ÖØ-öø-ÿĂăĄąĆćČčĎďĐđĘęĚěĞğĹĺĽľŁłŃńŇňŐőŒœŔŕŘřŚśŞşŠšŢţŤťŮůŰűŸŹźŻżŽž"
# Special characters; two that would melt into a dash, a quote or a turned mark; what is not above.
_SPECIAL = re.compile(
    rf"[\\&%$#_{{}}~^<>|\"]|[-`',](?=[-`',])|[?!](?=`)|[^{_LETTERS}]"  # the last: any other
)
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
    "—": "---",
    "’": "'",
    "±": r"$\pm$",
    "×": r"$\times$",
}


def escape(value: object) -> str:
    """The value as one line of LaTeX that prints as the value's own text (T1 fonts).

    A character that plain pdflatex has no glyph for is told by its number: U+03B2.
    """
    line = " ".join(normalize("NFC", str(value)).split())
    return _SPECIAL.sub(lambda m: _WRITTEN.get(m[0]) or _written(m[0]), line)


def _written(character: str) -> str:
    if character in "-`',?!":
        return f"{character}{{}}"
    return f"\\{character}" if character.isascii() and character.isprintable() else _told(character)


def _told(character: str) -> str:
    return f"\\texttt{{U+{ord(character):04X}}}"


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
    # Braces keep a leading [ or * from being read as an argument of the \\ of the row before.
    return " & ".join(f"{{{escape(c)}}}" if c[:1] in ("[", "*") else escape(c) for c in cells) + (
        r" \\"
    )
