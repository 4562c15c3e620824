"""Laws of the LaTeX tables: any text is printed as it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from momentune.reports.latex import escape, tabular
from momentune.reports.tables import Table


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("momentum_lstm", r"momentum\_lstm"),
        (r"\input{/etc/passwd}", r"\textbackslash{}input\{/etc/passwd\}"),
        ("50% & $x^2$ #1 ~", r"50\% \& \$x\textasciicircum{}2\$ \#1 \textasciitilde{}"),
        ("a\n\\end{tabular}", r"a \textbackslash{}end\{tabular\}"),
        ("−0.1", "$-$0.1"),
    ],
)
def test_text_is_escaped(text: str, latex: str) -> None:
    assert escape(text) == latex


def test_a_table_by_hand() -> None:
    made = tabular(Table(("name", "95%"), (("a_b", "[1, 2]"),), (False, True)))
    assert made.splitlines()[1:] == [
        r"\begin{tabular}{lr}", r"\toprule", r"name & 95\% \\", r"\midrule",
        r"a\_b & {[1, 2]} \\", r"\bottomrule", r"\end{tabular}",
    ]  # fmt: skip


def test_every_results_table_is_written(finished: Path) -> None:
    for name in ("results", "differences", "budgets"):
        text = (finished / "report" / "tables" / f"{name}.tex").read_text()
        rows = [line for line in text.splitlines() if line.endswith(r"\\")]
        assert len({len(re.findall(r"(?<!\\)&", row)) for row in rows}) == 1
        assert r"momentum\_lstm" in text
