"""Tasks: data, loss and metrics, one file per kind of data."""

from .cifar10 import CIFAR10
from .classification import Classification
from .digits import Digits
from .generation import Generation
from .language import Language
from .listops import ListOps
from .memory import Adding, Copying
from .mnist import MNIST
from .png import save_png
from .repeat import Repeat
from .speech import Speech
from .task import IGNORED, Split, Stream, Task
from .tokens import TokenPrediction, TokenSplit, TokenTask

__all__ = [
    "CIFAR10",
    "IGNORED",
    "MNIST",
    "Adding",
    "Classification",
    "Copying",
    "Digits",
    "Generation",
    "Language",
    "ListOps",
    "Repeat",
    "Speech",
    "Split",
    "Stream",
    "Task",
    "TokenPrediction",
    "TokenSplit",
    "TokenTask",
    "save_png",
]
