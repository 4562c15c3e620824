"""Tasks: data, loss and metrics, one file per kind of data."""

from .classification import Classification
from .digits import Digits
from .language import Language
from .listops import ListOps
from .memory import Adding, Copying
from .mnist import MNIST
from .repeat import Repeat
from .speech import Speech
from .task import IGNORED, Split, Stream, Task
from .tokens import TokenPrediction, TokenTask

__all__ = [
    "IGNORED",
    "MNIST",
    "Adding",
    "Classification",
    "Copying",
    "Digits",
    "Language",
    "ListOps",
    "Repeat",
    "Speech",
    "Split",
    "Stream",
    "Task",
    "TokenPrediction",
    "TokenTask",
]
