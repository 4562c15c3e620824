"""Tasks: data, loss and metrics, one file per kind of data."""

from .digits import Digits
from .task import Split, Task

__all__ = ["Digits", "Split", "Task"]
