"""A live page: the report of a run on localhost, written again while the sweep goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from . import comparison as compare
from .frames import load_run
from .page import write_report
from .run import RunError, read_plan

HOST = "127.0.0.1"
LOGS = ("journal.log", "metrics.jsonl", "plan.json")


class Dashboard:
    """Serves `RUN/report/` on this machine only, and keeps it fresh.

    The page is written again when the run's logs have changed, at most every so many seconds, and
    only while somebody looks. Attributes `url` and `fresh` (the seconds) tell where and how often.
    """

    def __init__(
        self,
        path: str | Path,
        port: int = 8080,
        fresh: float = 15.0,
        cards: Sequence[str | Path] = (),
    ) -> None:
        """Takes the port; port 0 takes any that is free. `cards` as `write_report` takes them.

        Raises:
            RunError: the path is no run directory, or the port is taken.
        """
        self.path, self.fresh, self.cards = Path(path), fresh, tuple(cards)
        read_plan(self.path)
        self._lock, self._done = threading.Lock(), False
        self._seen: tuple[tuple[int, int], ...] = ()
        handler = partial(_Handler, self, directory=str(self.path / "report"))
        try:
            self._server = ThreadingHTTPServer((HOST, port), handler)
        except OSError as error:
            raise RunError(
                f"the dashboard needs a free port, but {port} gives: {error}; give another --port"
            ) from error
        self.url = f"http://{HOST}:{self._server.server_port}/"

    def serve(self) -> None:
        """Answers until interrupted or closed."""
        with self._server:
            self._server.serve_forever(poll_interval=0.2)

    def close(self) -> None:
        """Stops serving, from another thread."""
        self._server.shutdown()

    def refresh(self) -> bool:
        """Writes the report again if anything changed; is the sweep still going on?"""
        with self._lock:
            now = tuple(_stamp(self.path / name) for name in LOGS)
            if now != self._seen:
                write_report(self.path, self.cards)
                ended, planned = compare.progress(load_run(self.path))
                self._seen, self._done = now, ended >= planned
            return not self._done


def _stamp(file: Path) -> tuple[int, int]:
    """Changes whenever the file does."""
    known = file.stat() if file.is_file() else None
    return (known.st_mtime_ns, known.st_size) if known else (0, 0)


class _Handler(SimpleHTTPRequestHandler):
    """Files of the report, to this machine only."""

    def __init__(self, dashboard: Dashboard, *args: object, directory: str) -> None:
        self.dashboard, self._live = dashboard, False
        make: Callable[..., None] = super().__init__
        make(*args, directory=directory)

    def do_GET(self) -> None:
        """Answers with a file, the page being refreshed first."""
        if self._ready():
            super().do_GET()

    def do_HEAD(self) -> None:
        """The same without the file."""
        if self._ready():
            super().do_HEAD()

    def _ready(self) -> bool:
        """May this be answered, and is the page fresh? If not, says so."""
        host = self.headers.get("Host", "").rsplit(":", 1)[0]
        if host not in (HOST, "localhost"):  # another site that points its own name here
            self.send_error(403, "only this machine may look")
            return False
        try:
            if self.path.split("?")[0] in ("/", "/index.html"):
                self._live = self.dashboard.refresh()
        except RunError as error:
            self._live = True  # a file that is being restored is soon there again
            self.send_error(503, "the run cannot be read now", str(error))
            return False
        return True

    def end_headers(self) -> None:
        """Asks the browser to come again while the sweep goes on."""
        if self._live:
            self.send_header("Refresh", f"{self.dashboard.fresh:g}")
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def list_directory(self, path: object) -> None:
        """Refuses: only files are served."""
        self.send_error(404, "no such file")

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: the terminal belongs to the command."""


def serve_optuna_dashboard(path: str | Path, port: int = 8081) -> None:
    """Optuna's own dashboard on the run's studies, read-only; serves until interrupted.

    Raises:
        RunError: optuna-dashboard is not installed, or the path is no run directory.
    """
    from .ledger import open_storage

    plan = read_plan(Path(path))
    try:
        from optuna_dashboard import run_server
    except ImportError as error:
        raise RunError(
            "Optuna's dashboard is an extra: pip install 'momentune[dashboard]'"
        ) from error
    run_server(open_storage(Path(path), plan), host=HOST, port=port)
