"""The page in a real browser, from the file system: no error, no network, every chart drawn."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from momentune.reports import write_report
from momentune.reports.cards import CARDS

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="/usr/bin/chromium is not installed")


def browse(page: Path, profile: Path, width: int) -> tuple[str, str]:
    """The page's DOM once its charts are drawn, and what the browser logged."""
    done = run(page.as_uri(), profile, width, "--dump-dom")
    return done.stdout, done.stderr


def run(page: str, profile: Path, width: int, *wanted: str) -> subprocess.CompletedProcess[str]:
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
        "--no-first-run", "--disable-background-networking", "--disable-component-update",
        "--disable-sync", "--disable-dev-shm-usage", f"--user-data-dir={profile}",
        f"--window-size={width},3000", "--virtual-time-budget=8000", "--enable-logging=stderr",
        *wanted, page,
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


def with_script(page: Path, script: str, folder: Path) -> Path:
    """A copy of the page that runs a script of ours at its end."""
    text = page.read_text(encoding="utf-8")
    nonce = re.search(r'script nonce="(\w+)"', text)
    assert nonce
    driven = folder / "driven.html"
    inside = f'<script nonce="{nonce[1]}">{script}</script></body>'
    driven.write_text(inside.join(text.rsplit("</body>", 1)), encoding="utf-8")
    return driven


@pytest.fixture(scope="module", params=[1440, 390])
def seen(
    request: pytest.FixtureRequest, finished: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, str]:
    profile = tmp_path_factory.mktemp("profile")
    return browse(finished / "report" / "index.html", profile, request.param)


def test_nothing_is_logged_to_the_console(seen: tuple[str, str]) -> None:
    assert [line for line in seen[1].splitlines() if "CONSOLE" in line] == []


def test_every_chart_is_drawn(seen: tuple[str, str]) -> None:
    drawn = re.findall(r'<div class="chart[^>]*>.*?</svg>', seen[0], re.DOTALL)
    assert len(drawn) == len(CARDS) - 3  # published results and others are tables, samples pictures
    marks = ("mark-symbol", "mark-line", "mark-rect", "mark-area")
    assert [svg for svg in drawn if not any(mark in svg for mark in marks)] == []


def test_every_panel_and_every_contender_is_there(seen: tuple[str, str]) -> None:
    for text in ("lr (log)", "hidden_size", "momentum_lstm/no_momentum", "test accuracy"):
        assert f">{text}</text>" in seen[0]


CLICKER = """
(async () => {
  const tell = {}, wait = () => new Promise((done) => setTimeout(done, 400));
  await wait();
  for (const card of ["history", "slices", "curves", "readings", "front"]) {
    const svg = document.querySelector(`#card-${card} svg`);
    const marks = () => [...document.querySelectorAll(`#card-${card} svg .role-mark path`)];
    const faint = () => marks().filter((m) => Number(m.getAttribute("opacity") ?? 1) < 0.05).length;
    const ticks = () => document.querySelector(`#card-${card} .role-axis`).parentNode.textContent;
    const before = faint(), at = ticks();
    const label = [...svg.querySelectorAll(".role-legend-label text")]
      .find((text) => text.textContent === "momentum_lstm");
    label.dispatchEvent(new MouseEvent("click", { bubbles: true })); await wait();
    tell[card] = { marks: marks().length, before, after: faint() };
    const plots = [...svg.querySelectorAll(".background")];
    const plot = plots.find((area) => area.getBoundingClientRect().width > 100);
    plot.scrollIntoView(); await wait();
    const box = plot.getBoundingClientRect();
    const wheel = { deltaY: -300, shiftKey: true, bubbles: true, cancelable: true,
                    clientX: box.left + box.width / 2, clientY: box.top + box.height / 2 };
    plot.dispatchEvent(new WheelEvent("wheel", wheel)); await wait();
    tell[card].zoomed = ticks() !== at;
  }
  const said = document.createElement("pre");
  said.id = "told"; said.textContent = JSON.stringify(tell); document.body.append(said);
})();
"""


def test_a_legend_singles_out_and_the_wheel_zooms(finished: Path, tmp_path: Path) -> None:
    driven = with_script(finished / "report" / "index.html", CLICKER, tmp_path)
    dom, log = browse(driven, tmp_path / "profile", 1440)
    told = re.search(r'<pre id="told">(.*?)</pre>', dom)
    assert told, log
    for card, seen in json.loads(told[1]).items():
        assert seen["before"] == 0, card
        assert 0 < seen["after"] < seen["marks"], (card, seen)
        assert seen["zoomed"], card


MANY = """
import altair as alt
import pandas as pd
from momentune.reports import Card

def crowd(run):
    frame = pd.DataFrame({"a": range(1001), "b": range(1001)})
    return Card("Crowd", "", frame, alt.Chart(frame).mark_point().encode(x="a:Q", y="b:Q"))

CARDS = {"crowd": crowd}
"""
LOOK = """
setTimeout(() => {
  const canvas = document.querySelector("#card-crowd canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const grey = { bright: 0, black: 0 };
  for (let i = 0; i < data.length; i += 4) {
    const [r, g, b, alpha] = data.slice(i, i + 4);
    if (alpha < 200 || Math.max(r, g, b) - Math.min(r, g, b) > 20) continue;
    if (r > 180) grey.bright += 1;
    if (r < 80) grey.black += 1;
  }
  const said = document.createElement("pre");
  said.id = "told"; said.textContent = JSON.stringify(grey); document.body.append(said);
}, 3000);
"""


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_text_on_a_canvas_has_the_colour_of_the_page(
    writer: Any, tmp_path: Path, scheme: str
) -> None:
    file = tmp_path / "cards.py"
    file.write_text(MANY)
    driven = with_script(write_report(writer().path, cards=[file]), LOOK, tmp_path)
    flag = f"--blink-settings=preferredColorScheme={int(scheme == 'light')}"
    done = run(driven.as_uri(), tmp_path / "profile", 900, flag, "--dump-dom")
    told = re.search(r'<pre id="told">(.*?)</pre>', done.stdout)
    assert told, done.stderr
    grey = json.loads(told[1])
    seen, unseen = ("bright", "black") if scheme == "dark" else ("black", "bright")
    assert grey[seen] > 20
    assert grey[unseen] == 0


DRIVER = """
(async () => {
  const tell = [], wait = () => new Promise((done) => setTimeout(done, 50));
  const cells = (n) => [...document.querySelectorAll(`#trials tbody td:nth-child(${n})`)]
    .map((cell) => cell.textContent);
  const heads = [...document.querySelectorAll("#trials th")];
  const column = heads.findIndex((head) => head.textContent === "value") + 1;
  heads[column - 1].firstChild.click(); await wait();
  tell.push(["up", heads[column - 1].getAttribute("aria-sort"), cells(column)]);
  heads[column - 1].firstChild.click(); await wait();
  tell.push(["down", heads[column - 1].getAttribute("aria-sort"), cells(column)]);
  const filter = document.getElementById("filter");
  filter.value = "momentum_lstm PRUNED"; filter.dispatchEvent(new Event("input")); await wait();
  tell.push(["filtered", document.getElementById("shown").textContent, cells(6)]);
  const said = document.createElement("pre");
  said.id = "told"; said.textContent = JSON.stringify(tell); document.body.append(said);
})();
"""


def test_the_table_of_trials_sorts_and_filters(finished: Path, tmp_path: Path) -> None:
    """A script at the page's end clicks and types as a reader would, and tells what it saw."""
    driven = with_script(finished / "report" / "index.html", DRIVER, tmp_path)
    dom, log = browse(driven, tmp_path / "profile", 1440)
    told = re.search(r'<pre id="told">(.*?)</pre>', dom)
    assert told, log
    up, down, filtered = json.loads(told[1])
    numbers = [float(value) for value in up[2]]
    assert (up[1], down[1]) == ("ascending", "descending")
    assert numbers == sorted(numbers)
    assert [float(value) for value in down[2]] == sorted(numbers, reverse=True)
    assert filtered[1] == "6 of 6 shown, 63 in all"
    assert set(filtered[2]) == {"pruned"}


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_the_page_can_be_photographed(finished: Path, tmp_path: Path, scheme: str) -> None:
    """At the width of a telephone, in both schemes: a picture with more than one colour."""
    picture = tmp_path / "page.png"
    page = (finished / "report" / "index.html").as_uri()
    run(page, tmp_path / "profile", 390, f"--screenshot={picture}",
        f"--blink-settings=preferredColorScheme={int(scheme == 'light')}")  # fmt: skip
    assert picture.stat().st_size > 50_000
