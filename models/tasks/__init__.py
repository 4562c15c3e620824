"""Tasks: data, loss and metrics, one file per kind of data."""

from .classification import Classification
from .digits import Digits
from .language import Language
from .memory import Adding, Copying
from .mnist import MNIST
from .speech import Speech
from .task import IGNORED, Split, Stream, Task

__all__ = [
    "IGNORED",
    "MNIST",
    "Adding",
    "Classification",
    "Copying",
    "Digits",
    "Language",
    "Speech",
    "Split",
    "Stream",
    "Task",
]
