"""What tasks share that ask for the future of an irregular time series.

A sample is (T, F + 2): at each time the F features, 1 where they were observed and 0 where they
were not, and how long it is to the next time. The answer is (T, D): the values at the next time. So
T - horizon answers are one step ahead of an observation, and the last `horizon` ones go on freely
from there.
"""

from abc import abstractmethod
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import mse_loss

from .sources import Part
from .task import Split, Task

Series = tuple[NDArray[np.float32], NDArray[np.float32]]  # inputs (N, T, F + 2), targets (N, T, D)


class Forecasting(Task):
    """Mean squared errors: of the forecast to judge by, of all answers to learn by.

    Attributes:
        horizon: how many of the last answers are the forecast.
        one_step: the weight of the other answers' error in the loss; 0.1 in the paper.
    """

    metric = "forecast"
    direction: Literal["maximize", "minimize"] = "minimize"
    horizon: int
    one_step = 0.1

    def train(self) -> Split:
        """Series to learn from."""
        return self._split("train")

    def validation(self) -> Split:
        """Series to search by."""
        return self._split("validation")

    def test(self) -> Split:
        """Series to judge by."""
        return self._split("test")

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Error of the forecast, and a share of the others'; predictions and targets (B, T, D)."""
        ahead, forecast = self._errors(prediction, target)
        return self.one_step * ahead + forecast

    def metrics(self, prediction: Tensor, target: Tensor) -> dict[str, float]:
        """`loss`, `forecast` and `one_step`, the last two mean squared errors."""
        ahead, forecast = self._errors(prediction, target)
        return {
            "loss": self.loss(prediction, target).item(),
            "forecast": forecast.item(),
            "one_step": ahead.item(),
        }

    def linear(self) -> float:
        """The forecast error of ridge regression on all numbers of a series, on validation data.

        Its penalty is chosen by leaving one out in the training data.
        """
        from sklearn.linear_model import RidgeCV  # slow to import

        (inputs, targets), (others, answers) = (self._series(p) for p in ("train", "validation"))
        ridge = RidgeCV(alphas=np.logspace(-6, 4, 11))
        ridge.fit(_flat(inputs), _flat(targets[:, -self.horizon :]))
        errors = ridge.predict(_flat(others)) - _flat(answers[:, -self.horizon :])
        return float(np.square(errors).mean())

    def _errors(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        known = target.shape[1] - self.horizon
        return (
            mse_loss(prediction[:, :known], target[:, :known]),
            mse_loss(prediction[:, known:], target[:, known:]),
        )

    def _split(self, part: Part) -> Split:
        inputs, targets = self._series(part)
        return Split(torch.from_numpy(inputs), torch.from_numpy(targets))

    @abstractmethod
    def _series(self, part: Part) -> Series:
        """The series of a part."""


def _flat(series: NDArray[np.float32]) -> NDArray[np.float64]:
    """Each series as one row."""
    return series.reshape(len(series), -1).astype(np.float64)


def observed_until(values: NDArray[np.float64], times: NDArray[np.float64], horizon: int) -> Series:
    """Series as a forecasting task gives them, hidden where the forecast begins.

    Args:
        values: (N, T + 1, D).
        times: (N, T + 1), increasing.
        horizon: how many of the T answers are the forecast; the first of them is one step ahead.
    """
    count, length, _ = values.shape
    seen = np.ones((count, length - 1, 1))
    seen[:, length - horizon :] = 0
    gaps = np.diff(times, axis=1)[..., None]
    inputs = np.concatenate([values[:, :-1] * seen, seen, gaps], axis=-1)
    return inputs.astype(np.float32), values[:, 1:].astype(np.float32)
