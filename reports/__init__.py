"""Run directory in, answers out: frames, statistics, charts and a page that people can trust.

Reads files only, so it works on a laptop without the training stack, and while a sweep runs.
"""

from .answer import Answer, Finding, answer
from .card import Card
from .comparison import best, budgets, contenders, differences, failures, validation_curves
from .frames import load_run, read_table, write_tables
from .health import concerns
from .page import write_report
from .run import Run, RunError

__all__ = [
    "Answer",
    "Card",
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
    "validation_curves",
    "write_report",
    "write_tables",
]
