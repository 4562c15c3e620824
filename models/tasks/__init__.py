"""Tasks: data, loss and metrics, one file per kind of data."""

from .cifar10 import CIFAR10
from .classification import Classification
from .digits import Digits
from .forecasting import Forecasting
from .images import Images, digits_image, mnist_image
from .language import Language
from .memory import Adding, Copying
from .mnist import MNIST
from .oscillators import Oscillators
from .recordings import Silverbox, Vibration
from .speech import Speech
from .spheres import NestedSpheres
from .task import IGNORED, Split, Stream, Task

__all__ = [
    "CIFAR10",
    "IGNORED",
    "MNIST",
    "Adding",
    "Classification",
    "Copying",
    "Digits",
    "Forecasting",
    "Images",
    "Language",
    "NestedSpheres",
    "Oscillators",
    "Silverbox",
    "Speech",
    "Split",
    "Stream",
    "Task",
    "Vibration",
    "digits_image",
    "mnist_image",
]
