"""Laws of the live page: localhost only, refreshed while the sweep goes on, nothing else served."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from momentune.reports import Dashboard, RunError, load_run
from momentune.reports import dashboard as pages
from momentune.reports.ledger import open_storage


@pytest.fixture
def served(writer: Any) -> Iterator[tuple[Any, Dashboard]]:
    made = writer()
    made.trial("lstm", curve=[0.5])
    dashboard = Dashboard(made.path, port=0, fresh=3)
    thread = threading.Thread(target=dashboard.serve)
    thread.start()
    yield made, dashboard
    dashboard.close()
    thread.join(timeout=10)


def get(
    dashboard: Dashboard, path: str = "/", method: str = "GET", **headers: str
) -> http.client.HTTPResponse:
    port = int(dashboard.url.rsplit(":", 1)[1].strip("/"))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, headers=headers)
    return connection.getresponse()


def test_the_page_follows_the_sweep(served: Any) -> None:
    made, dashboard = served
    first = get(dashboard)
    assert first.getheader("Refresh") == "3"
    assert "1 of 39 planned trials" in first.read().decode()
    made.trial("lstm", curve=[0.6])
    assert "2 of 39 planned trials" in get(dashboard).read().decode()


def test_an_unchanged_run_is_not_written_again(served: Any) -> None:
    made, dashboard = served
    get(dashboard).read()
    page = made.path / "report" / "index.html"
    before = page.stat().st_mtime_ns
    get(dashboard).read()
    assert page.stat().st_mtime_ns == before


def test_figures_are_served_and_nothing_above_the_report(served: Any) -> None:
    _, dashboard = served
    get(dashboard).read()
    assert get(dashboard, "/report.md").status == 200
    assert get(dashboard, "/figures/history.svg").status == 200
    for path in ("/../plan.json", "/%2e%2e/plan.json", "/tables/"):
        assert get(dashboard, path).status == 404, path


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_another_site_cannot_read_it_through_its_own_name(served: Any, method: str) -> None:
    assert get(served[1], "/", method, Host="evil.example").status == 403


def test_a_plan_that_cannot_be_read_gives_a_page_that_says_so(served: Any) -> None:
    made, dashboard = served
    (made.path / "plan.json").write_text("half a pl")
    answer = get(dashboard)
    assert answer.status == 503
    assert "plan.json must be JSON" in answer.read().decode()


def test_a_finished_sweep_is_not_asked_for_again(make_sweep: Any) -> None:
    dashboard = Dashboard(make_sweep(trials=2, seeds=2).path, port=0)
    assert not dashboard.refresh()
    dashboard._server.server_close()


def test_a_path_without_a_run_and_a_taken_port_are_refused(tmp_path: Any, writer: Any) -> None:
    with pytest.raises(RunError):
        Dashboard(tmp_path)
    path = writer().path
    first = Dashboard(path, port=0)
    with pytest.raises(RunError, match="free port"):
        Dashboard(path, port=int(first.url.rsplit(":", 1)[1].strip("/")))
    first._server.server_close()


def test_optunas_dashboard_can_list_the_studies(make_sweep: Any) -> None:
    server = pytest.importorskip("optuna_dashboard", reason="optuna-dashboard is not installed")
    run = load_run(make_sweep(trials=2, seeds=2).path)
    app = server.wsgi(open_storage(run.path, run.plan))
    status: list[str] = []
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/api/studies", "wsgi.input": None}
    body = b"".join(app(environ, lambda code, headers, *rest: status.append(code)))
    assert status == ["200 OK"]
    assert b"momentum_lstm/search" in body


def test_the_page_keeps_ones_own_cards(
    tmp_path: Any, writer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(pages, "write_report", lambda path, cards: seen.append((path, cards)))
    made = writer()
    dashboard = Dashboard(made.path, port=0, cards=[tmp_path / "own.py"])
    with dashboard._server:
        dashboard.refresh()
    assert seen == [(made.path, (tmp_path / "own.py",))]
