"""Laws of the report: whole or not at all, nothing fetched, nothing unescaped, never a crash."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import momentune.reports.cards as cards_module
from momentune.reports import Card, RunError, load_run, tables, write_report
from momentune.reports.cards import CARDS, build
from momentune.reports.markdown import code_block, escape
from momentune.reports.rendering import draw

EVIL = '</script><script>alert(1)</script>|`x`*y* & "q" <img src=x onerror=alert(2)>'


class Reader(HTMLParser):
    """Collects what a browser would do with a page: tags, their attributes, and visible text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.specs: list[Any] = []
        self.text = ""
        self._inside: tuple[str, dict[str, str | None]] = ("", {})
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = self.tags[-1]

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._inside = ("", {})

    def handle_data(self, data: str) -> None:
        tag, attrs = self._inside
        if tag == "script" and attrs.get("type") == "application/json":
            found = json.loads(data)
            self.specs += [found] if "$schema" in found else []
        elif tag not in ("script", "style"):
            self.text += data


def read(path: Path) -> Reader:
    return Reader(path.read_text(encoding="utf-8"))


def nothing(made: Any) -> None:
    """A plan, and no trial yet."""


def no_result(made: Any) -> None:
    for variant in ("lstm", "momentum_lstm"):
        made.trial(variant, state="FAIL", reason="exception", message="no such file")


def only_nan(made: Any) -> None:
    for variant in ("lstm", "momentum_lstm"):
        made.trial(variant, params={"lr": 0.01}, curve=[math.nan] * 2, state="FAIL")


def one_variant_failed(made: Any) -> None:
    made.searched("lstm", 0.93, seed=1, trials=4)
    made.confirmed("lstm", 0.93, {"lr": 0.01}, seeds=3)
    for _ in range(4):
        made.trial("momentum_lstm", curve=[0.1, math.nan], state="FAIL", reason="diverged")


def one_seed(made: Any) -> None:
    made.searched("lstm", 0.93, seed=1, trials=4)
    made.searched("momentum_lstm", 0.95, seed=2, trials=4)
    made.tested("lstm", [0.93])
    made.tested("momentum_lstm", [0.95])


def interrupted(made: Any) -> None:
    made.searched("lstm", 0.93, seed=1, trials=3)
    made.trial("lstm", params={"lr": 0.01}, curve=[0.5], state="RUNNING")
    made.trial("momentum_lstm", params={"lr": 0.01}, curve=[0.5, 0.6])
    made.trial("momentum_lstm", params={"lr": 0.01}, state="RUNNING")


def one_step(made: Any) -> None:
    made.trial("lstm", params={"lr": 0.01}, curve=[0.5])
    made.trial("lstm", "confirm", seed=100, curve=[0.5], test=0.5)


STATES: dict[str, Callable[[Any], None]] = {
    f.__name__: f
    for f in (nothing, no_result, only_nan, one_variant_failed, one_seed, interrupted, one_step)
}
SAID = {
    "nothing": "0 of 39 planned trials are done",
    "no_result": "No result for momentum_lstm: the only search trial failed (exception 1).",
    "only_nan": "(reason not told 1)",
    "one_variant_failed": "No result for momentum_lstm: all 4 search trials failed (diverged 4).",
    "one_seed": "With 1 seed in common no interval can be given; it takes at least 2.",
    "interrupted": "4 of 39 planned trials are done, 2 more had started.",
    "one_step": "No result for momentum_lstm: 0 search trials completed so far",
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.filterwarnings("error")
def test_every_state_of_a_run_has_a_report(writer: Any, state: str) -> None:
    made = writer()
    STATES[state](made)
    page = write_report(made.path)
    assert SAID[state] in read(page).text
    assert SAID[state].split("(")[0] in (page.parent / "report.md").read_text()
    assert "could not be" not in read(page).text


@pytest.mark.filterwarnings("error")
def test_a_generator_without_task_or_data_has_a_report(writer: Any) -> None:
    plain = {"name": "a", "baseline": True, "parameters": {}, "controls": {}}
    other = {"name": "b", "baseline": False, "parameters": {}, "controls": {}}
    made = writer(plain, other, space_task=None, space_data=None, space_parameters={}, git=None,
                  space_metric="score", hardware={}, versions={}, time_budget=7500)  # fmt: skip
    made.plan["space"]["variants"][1]["parameters"] = {"described": "depends on the first"}
    (made.path / "plan.json").write_text(json.dumps(made.plan))
    for variant in ("a", "b"):
        number = made.trial(variant, params={"x": 0.5}, state="RUNNING")
        made.report(number, 1, score=3.5)
    text = read(write_report(made.path)).text
    assert "depends on the first" in text
    assert "2 h 05 min" in text


def test_files_are_those_of_the_design(finished: Path) -> None:
    report = finished / "report"
    assert sorted(p.name for p in finished.iterdir()) == [
        "curves.csv", "journal.log", "metrics.jsonl", "plan.json", "report", "samples",
        "trials.csv",
    ]  # fmt: skip
    assert sorted(p.name for p in report.iterdir()) == [
        ".momentune-report", "figures", "index.html", "report.md", "tables",
    ]  # fmt: skip
    charts = set(CARDS) - {"published", "others", "samples"}  # two tables, and pictures
    assert {p.stem for p in (report / "figures").glob("*.svg")} == charts
    assert {p.stem for p in (report / "tables").glob("card_*.csv")} == {f"card_{c}" for c in CARDS}


def test_the_order_is_answer_results_charts_recipe(finished: Path) -> None:
    text = read(finished / "report" / "index.html").text
    order = [
        "Is a MomentumLSTM better",
        "momentum_lstm is better than lstm: test accuracy 0.955 against 0.932",
        "Results", "Differences", "Confirmed test accuracy", "Search history",
        "momentune sweep digits-lstm --trials 12", "All 63 trials",
    ]  # fmt: skip
    assert order[0] in text
    main = text.index("All trials")  # where the contents end
    places = [text.index(part, main) for part in order[1:]]
    assert places == sorted(places)


def test_markdown_says_what_the_page_says(finished: Path) -> None:
    report = finished / "report"
    markdown = (report / "report.md").read_text().replace("\\", "")
    page = read(report / "index.html")
    paragraphs = re.findall(
        r"(?:headline|better)\S*>([^<]+)</p>", (report / "index.html").read_text()
    )
    assert paragraphs
    assert all(paragraph in markdown for paragraph in paragraphs)
    assert len(page.specs) == markdown.count(".svg)")
    assert len([t for t, _ in page.tags if t == "img"]) == markdown.count(".png)") == 1


def test_nothing_is_fetched(finished: Path) -> None:
    page = read(finished / "report" / "index.html")
    fetching = {"src", "srcset", "data", "action", "poster", "background", "ping", "formaction"}
    sources = [a for _, a in page.tags if fetching & a.keys()]
    assert [a for a in sources if not str(a["src"]).startswith("data:image/png;base64,")] == []
    links = [str(a["href"]) for _, a in page.tags if "href" in a]
    places = {f"#{a['id']}" for _, a in page.tags if "id" in a}
    assert {link for link in links if link.startswith("#")} <= places
    links = [link for link in links if not link.startswith("#")]
    assert [link for link in links if not (finished / "report" / link).is_file()] == []
    assert not {"link", "iframe", "object", "embed", "base"} & {t for t, _ in page.tags}
    style = (finished / "report" / "index.html").read_text().split("</style>")[0]
    assert not re.search(r"url\(|@import", style)
    policy = next(str(a["content"]) for t, a in page.tags if t == "meta" and "http-equiv" in a)
    assert policy.startswith("default-src 'none'")


def test_charts_carry_their_data_and_no_nan(finished: Path) -> None:
    specs = read(finished / "report" / "index.html").specs
    assert len(specs) == len(CARDS) - 3  # published results and others are tables, samples pictures
    assert all(spec["datasets"] for spec in specs)
    json.dumps(specs, allow_nan=False)


def test_svg_figures_are_whole(finished: Path) -> None:
    for figure in (finished / "report" / "figures").glob("*.svg"):
        assert "momentum_lstm" in figure.read_text()
        assert "NaN" not in figure.read_text()


def test_untrusted_text_stays_text(writer: Any) -> None:
    evil = {"name": EVIL, "baseline": False, "parameters": {EVIL: 3}, "controls": {EVIL: {EVIL: 0}}}
    base = {"name": "lstm", "baseline": True, "parameters": {}, "controls": {}}
    made = writer(base, evil, name=EVIL, command=EVIL, space_question=EVIL, space_metric=EVIL,
                  versions={EVIL: EVIL}, sampler={"name": EVIL})  # fmt: skip
    made.tested("lstm", [0.5, 0.6])
    made.tested(EVIL, [0.6, 0.8])
    made.tested(EVIL, [0.6, 0.8], control=EVIL)
    made.trial(EVIL, params={EVIL: EVIL}, curve=[0.5])
    made.trial(EVIL, state="FAIL", reason=EVIL, message=f"{EVIL}\n# {EVIL}\ud800")
    page = write_report(made.path)
    seen = read(page)
    assert {"img", "alert"} & {tag for tag, _ in seen.tags} == set()
    kinds = [attrs.get("type") or "code" for tag, attrs in seen.tags if tag == "script"]
    assert kinds == ["application/json"] * (len(seen.specs) + 1) + ["code", "code"]
    assert EVIL in seen.text
    markdown = (page.parent / "report.md").read_text()
    prose = re.sub(r"^(`{3,})sh\n.*?\n\1$", "", markdown, flags=re.DOTALL | re.MULTILINE)
    assert "<" not in prose
    rows = [re.sub(r"\\\|", "", line) for line in prose.splitlines() if line.startswith("|")]
    widths = {row.count("|") for row in rows[:5]}
    assert len(widths) == 1


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("momentum_lstm", "momentum_lstm"),
        ("_a_ *b* `c`", r"\_a\_ \*b\* \`c\`"),
        ("<b>&|[x](y)", r"&lt;b&gt;&amp;\|\[x\](y)"),
        ("a\n# b\r\n\tc", r"a \# b c"),
        (0.5, "0.5"),
        ("- a-b", r"\- a-b"),
        ("+ a", r"\+ a"),
        ("12. a 3. b", r"12\. a 3. b"),
        ("===", r"\==="),
        ("# > a", r"\# &gt; a"),
        ("https://a.b www.c.d ftp://e", r"https\://a.b www\.c.d ftp\://e"),
    ],
)
def test_markdown_shows_text_as_it_is(text: object, markdown: str) -> None:
    assert escape(text) == markdown


def test_a_code_block_cannot_be_left() -> None:
    assert code_block("a\n```\nb") == "````sh\na\n```\nb\n````"


def test_passwords_are_not_shown(writer: Any) -> None:
    made = writer(command="momentune sweep x --storage postgresql://me:s3cret@host/db")
    page = write_report(made.path)
    for file in (page, page.parent / "report.md"):
        assert "s3cret" not in file.read_text()
        assert "postgresql://me:***@host/db" in file.read_text().replace("\\", "")


def test_a_crash_leaves_the_old_report(writer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = writer()
    page = write_report(made.path)
    before, names = page.read_bytes(), sorted(p.name for p in made.path.iterdir())

    def crash(run: object, cards: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cards_module, "build", crash)
    with pytest.raises(KeyboardInterrupt):
        write_report(made.path)
    assert page.read_bytes() == before
    assert sorted(p.name for p in made.path.iterdir()) == names


def test_a_report_replaces_the_one_before(writer: Any) -> None:
    made = writer()
    page = write_report(made.path)
    (page.parent / "stale.txt").touch()
    made.trial("lstm", curve=[0.5])
    write_report(made.path)
    assert "1 of 39 planned trials" in page.read_text()
    assert not (page.parent / "stale.txt").exists()


def test_writing_a_report_leaves_the_logs_alone(make_sweep: Any) -> None:
    path = make_sweep(trials=2, seeds=1).path
    logs = [path / "journal.log", path / "metrics.jsonl", path / "plan.json"]
    before = [(p.read_bytes(), p.stat().st_mtime_ns) for p in logs]
    write_report(path)
    assert [(p.read_bytes(), p.stat().st_mtime_ns) for p in logs] == before


def test_a_card_that_fails_becomes_a_note(finished: Path) -> None:
    def broken(run: object) -> Any:
        raise RuntimeError("no luck")

    with pytest.warns(UserWarning, match="'my_card' could not be made"):
        made = build(load_run(finished), {"my_card": broken, "gains": CARDS["gains"]})
    assert made["my_card"].finding == "This card could not be made (RuntimeError: no luck)."
    assert made["my_card"].chart is None
    assert made["gains"].chart is not None


@pytest.mark.parametrize("name", CARDS)
def test_a_card_draws_exactly_its_frame(finished: Path, name: str) -> None:
    card = CARDS[name](load_run(finished))
    assert card is not None
    beside = pd.read_csv(finished / "report" / "tables" / f"card_{name}.csv")
    assert len(beside) == len(card.frame) > 0
    assert list(beside) == list(card.frame)


def test_reading_a_run_needs_no_drawing() -> None:
    heavy = ("altair", "vl_convert", "torch", "ray", "momentune.search", "momentune.models")
    code = f"import sys, momentune.reports; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_path_without_a_run_has_no_report(tmp_path: Path) -> None:
    with pytest.raises(RunError):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_choices_that_are_text_are_no_numbers_to_sort_by(writer: Any) -> None:
    made = writer()
    for name, flag in (("sgd", True), ("adam", False)):
        made.trial("lstm", params={"optimizer": name, "lr": 0.1, "decay": flag}, curve=[0.5])
    shown = tables.trials(load_run(made.path))
    kinds = dict(zip(shown.headers, shown.numeric, strict=True))
    assert [kinds[k] for k in ("optimizer", "lr", "decay")] == [False, True, False]


def test_columns_of_one_name_are_both_shown() -> None:
    shown = tables.of_frame(pd.DataFrame([[1, "x"], [2, "y"]], columns=["a", "a"]))
    assert shown == tables.Table(("a", "a"), (("1", "x"), ("2", "y")), (True, False))


def test_a_card_without_words_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    nothing: Any = None
    drawn = draw(tmp_path, "own_card", Card(nothing, nothing, pd.DataFrame({"a": [1]})))
    assert (drawn.title, drawn.finding) == ("Own card", "")
