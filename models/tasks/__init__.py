"""Tasks: data, loss and metrics, one file per kind of data."""

from .cifar10 import CIFAR10
from .classification import Classification
from .digits import Digits
from .forecasting import Forecasting
from .generation import Generation
from .images import Images, digits_image, mnist_image
from .language import Language
from .listops import ListOps
from .memory import Adding, Copying
from .mnist import MNIST
from .oscillators import Oscillators
from .pathfinder import Pathfinder
from .pixels import GreyImages
from .png import save_png
from .recordings import Silverbox, Vibration
from .repeat import Repeat
from .retrieval import Retrieval
from .reviews import Reviews
from .speech import Speech
from .spheres import NestedSpheres
from .task import IGNORED, Split, Stream, Task
from .tokens import TokenPrediction, TokenSplit, TokenTask
from .translation import Translation
from .walker import Walker

__all__ = [
    "CIFAR10",
    "IGNORED",
    "MNIST",
    "Adding",
    "Classification",
    "Copying",
    "Digits",
    "Forecasting",
    "Generation",
    "GreyImages",
    "Images",
    "Language",
    "ListOps",
    "NestedSpheres",
    "Oscillators",
    "Pathfinder",
    "Repeat",
    "Retrieval",
    "Reviews",
    "Silverbox",
    "Speech",
    "Split",
    "Stream",
    "Task",
    "TokenPrediction",
    "TokenSplit",
    "TokenTask",
    "Translation",
    "Vibration",
    "Walker",
    "digits_image",
    "mnist_image",
    "save_png",
]
