"""A task and a network that learn in a blink."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import wavfile
from torch import Tensor
from torch.nn.functional import cross_entropy

from momentune import models
from momentune.models import LSTM, RecurrentCell, SequenceClassifier, Split, Task, build


class SignOfSum(Task):
    """Is the sum of eight numbers positive? It counts how often its test split is made."""

    name = "sign-of-sum"
    metric = "accuracy"
    direction = "maximize"
    input_size = 1
    output_size = 2

    def __init__(self) -> None:
        self.tested = 0

    @property
    def data(self) -> dict[str, str | int]:
        return {"name": self.name, "train": 48, "validation": 16, "test": 16, "sha256": "0" * 64}

    def train(self) -> Split:
        return self.drawn(seed=1, size=48)

    def validation(self) -> Split:
        return self.drawn(seed=2, size=16)

    def test(self) -> Split:
        self.tested += 1
        return self.drawn(seed=3, size=16)

    def drawn(self, seed: int, size: int) -> Split:
        numbers = torch.randn(size, 8, 1, generator=torch.Generator().manual_seed(seed))
        return Split(numbers, (numbers.sum(dim=(1, 2)) > 0).long())

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        return cross_entropy(prediction, target)

    def metrics(self, prediction: Tensor, target: Tensor) -> dict[str, float]:
        accuracy = (prediction.argmax(-1) == target).double().mean().item()
        return {"loss": self.loss(prediction, target).item(), "accuracy": accuracy}


class Dropping(SequenceClassifier):
    """A classifier that draws random numbers as it trains."""

    def forward(self, sequence: Tensor) -> Tensor:
        return super().forward(torch.dropout(sequence, 0.2, self.training))


@pytest.fixture
def task() -> SignOfSum:
    return SignOfSum()


@pytest.fixture
def network() -> Callable[[], Dropping]:
    """Makes the same network again at each call."""
    return lambda: build(lambda: Dropping(LSTM(1, 6, batch_first=True), 2), seed=5)


@pytest.fixture(scope="session")
def voices(tmp_path_factory) -> Path:
    """WAV files of six voices, each a folder: one pitch, loud and soft, in noise."""
    folder = tmp_path_factory.mktemp("voices")
    for number, name in enumerate("abcdef"):
        noise = np.random.RandomState(number)
        (folder / name).mkdir()
        for take in range(3):
            time = np.arange(3000 + 700 * take) / 8000
            sound = np.sin(2 * np.pi * (400 + 500 * number) * time) * (1 + np.sin(20 * time))
            sound += 0.05 * noise.standard_normal(len(time))
            wavfile.write(folder / name / f"{take}.wav", 8000, (8000 * sound).astype(np.int16))
    return folder


RECURRENCES = {
    "LSTM": {},
    "GRU": {},
    "RNN": {},
    "RNN-relu": {"nonlinearity": "relu"},
    "DTRIV": {},
}
DYNAMICS = {
    "": {},
    "Momentum": {"momentum": 0.8, "step": 0.6},
    "Nesterov": {"step": 0.6, "restart": 5},
    "Adam": {"momentum": 0.6, "step": 0.3, "beta2": 0.9},
    "RMSProp": {"step": 0.3, "beta2": 0.9},
}
Maker = Callable[..., RecurrentCell]


def maker(dynamics: str, recurrence: str) -> Maker:
    """Makes a cell of the family, the same again at each call, in float64 as laws are."""

    def make(input_size: int, hidden_size: int, num_layers: int = 1, **changes) -> RecurrentCell:
        torch.manual_seed(1)
        kind = getattr(models, dynamics + recurrence.split("-")[0])
        settings = DYNAMICS[dynamics] | RECURRENCES[recurrence] | changes
        cell = kind(input_size, hidden_size, num_layers, **settings).double()
        if recurrence == "DTRIV":
            cell.rebase()  # orthogonal to the last digit
        return cell

    return make


@pytest.fixture(params=RECURRENCES)
def recurrence(request) -> str:
    return request.param


@pytest.fixture(params=DYNAMICS)
def dynamics(request) -> str:
    return request.param


@pytest.fixture
def make(dynamics, recurrence) -> Maker:
    """Every cell of the family, one after the other."""
    return maker(dynamics, recurrence)


@pytest.fixture
def family() -> Callable[[str, str], Maker]:
    """Some of them, by dynamics and recurrence."""
    return maker
