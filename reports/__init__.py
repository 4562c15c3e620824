"""Run directory in, answers out: frames, statistics, charts and a page that people can trust.

Reads files only, so it works on a laptop without the training stack, and while a sweep runs.
"""

from .answer import Answer, Finding, answer
from .card import Card
from .comparison import best, budgets, contenders, differences, failures, validation_curves
from .dashboard import Dashboard, serve_optuna_dashboard
from .frames import load_run, read_table, write_tables
from .health import concerns
from .overview import write_comparison
from .page import write_gallery, write_report
from .run import Run, RunError

__all__ = [
    "Answer",
    "Card",
    "Dashboard",
    "Finding",
    "Run",
    "RunError",
    "answer",
    "best",
    "budgets",
    "concerns",
    "contenders",
    "differences",
    "failures",
    "load_run",
    "read_table",
    "serve_optuna_dashboard",
    "validation_curves",
    "write_comparison",
    "write_gallery",
    "write_report",
    "write_tables",
]
