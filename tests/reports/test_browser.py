"""The page in a real browser, from the file system: no error, no network, every chart drawn."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from momentune.reports.cards import CARDS

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="/usr/bin/chromium is not installed")


def browse(page: Path, profile: Path, width: int) -> tuple[str, str]:
    """The page's DOM once its charts are drawn, and what the browser logged."""
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
        "--no-first-run", "--disable-background-networking", "--disable-component-update",
        "--disable-sync", "--disable-dev-shm-usage", f"--user-data-dir={profile}",
        f"--window-size={width},3000", "--virtual-time-budget=8000", "--enable-logging=stderr",
        "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, done.stderr


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
    assert len(drawn) == len(CARDS) - 1  # published results are a table
    marks = ("mark-symbol", "mark-line", "mark-rect", "mark-area")
    assert [svg for svg in drawn if not any(mark in svg for mark in marks)] == []


def test_every_panel_and_every_contender_is_there(seen: tuple[str, str]) -> None:
    for text in ("lr (log)", "hidden_size", "momentum_lstm/no_momentum", "test accuracy"):
        assert f">{text}</text>" in seen[0]
