"""Laws of the LaTeX tables: any text is printed as it is."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from subprocess import run

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
        ("β中\U0001f600\x07é", r"\texttt{U+03B2}\texttt{U+4E2D}\texttt{U+1F600}\texttt{U+0007}é"),
        ("a---b ``q'' ?`,,", "a-{}-{}-b `{}`q'{}' ?{}`{},{},"),
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


def test_plain_pdflatex_prints_any_text(tmp_path: Path) -> None:
    if not shutil.which("pdflatex"):
        pytest.skip("needs pdflatex")
    if shutil.which("kpsewhich") and run(["kpsewhich", "booktabs.sty"]).returncode:
        pytest.skip("needs booktabs")
    odd = tuple(
        (text, "*0.5") for text in ("*a", "[b]", "β中\U0001f600", "x---y ``q'' ±×’—", "ÿŽő\x07")
    )
    made = tabular(Table(("*name", "[n]"), odd, (False, True)))
    lines = [r"\documentclass{article}", *made.splitlines()]
    lines[1] = r"\usepackage[T1]{fontenc}\usepackage{booktabs}\begin{document}"
    (tmp_path / "m.tex").write_text("\n".join([*lines, r"\end{document}"]), encoding="utf-8")
    done = run(["pdflatex", "-halt-on-error", "m.tex"], cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-800:]


@pytest.mark.parametrize("mark", ["*", "["])
def test_a_row_may_begin_with_what_a_line_end_would_swallow(mark: str) -> None:
    row = tabular(Table(("a",), ((f"{mark}1]",),), (False,))).splitlines()[-3]
    assert row == f"{{{mark}1]}} \\\\"


def test_every_results_table_is_written(finished: Path) -> None:
    for name in ("results", "differences", "budgets"):
        text = (finished / "report" / "tables" / f"{name}.tex").read_text()
        rows = [line for line in text.splitlines() if line.endswith(r"\\")]
        assert len({len(re.findall(r"(?<!\\)&", row)) for row in rows}) == 1
        assert r"momentum\_lstm" in text
