"""Nested spheres: points inside a ball against points of a shell around it.

No flow of a plane can tell them apart, because its trajectories do not cross (Dupont, Doucet, Teh,
"Augmented Neural ODEs", 2019, whose radii these are); with more dimensions, or with a velocity, it
can. The momentum paper uses 50 points to learn and 10 to judge (section 2.3), from a file that is
not published; here more are held out, because ten points cannot tell two networks apart.
"""

from functools import cache
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import mse_loss

from .sources import Part, sha256
from .task import Split, Task

INNER = 0.5  # radius of the ball
SHELL = (1.0, 1.5)  # radii of the shell
BALL_SHARE = 1 / 3  # of the points, as where the paper draws its trajectories


class NestedSpheres(Task):
    """Points (B, dimensions); -1 for those in the ball, 1 for those in the shell, (B, 1).

    The metric is the mean squared error, 8/9 for a constant answer; `accuracy` is the share of
    points whose sign is right. Radii and directions are uniform.

    Args:
        dimensions: of the space.
        train: points to learn from.
        validation: points to search by.
        test: points to judge by.
    """

    name = "nested-spheres"
    metric = "loss"
    direction: Literal["maximize", "minimize"] = "minimize"
    output_size = 1
    chance = 1 - (1 - 2 * BALL_SHARE) ** 2

    def __init__(
        self,
        dimensions: int = 2,
        *,
        train: int = 50,
        validation: int = 200,
        test: int = 1000,
    ) -> None:
        self.sizes: dict[Part, int] = {"train": train, "validation": validation, "test": test}
        if dimensions < 1 or min(self.sizes.values()) < 3:
            raise ValueError(
                "dimensions must be at least 1 and every split at least 3 points, "
                f"got {dimensions} and {self.sizes}"
            )
        self.input_size = dimensions

    @property
    def data(self) -> dict[str, str | int]:
        """Name, sizes, and the sha256 of all points and their labels."""
        drawn = (array for part in self.sizes for array in self._points(part))
        sizes = {str(part): size for part, size in self.sizes.items()}
        return {"name": f"{self.name}-{self.input_size}d", **sizes, "sha256": sha256(*drawn)}

    def train(self) -> Split:
        """Points to learn from."""
        return self._split("train")

    def validation(self) -> Split:
        """Points to search by."""
        return self._split("validation")

    def test(self) -> Split:
        """Points to judge by."""
        return self._split("test")

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Mean squared error of (B, 1)."""
        return mse_loss(prediction, target)

    def metrics(self, prediction: Tensor, target: Tensor) -> dict[str, float]:
        """`loss` and `accuracy`."""
        right = (prediction > 0) == (target > 0)
        return {
            "loss": self.loss(prediction, target).item(),
            "accuracy": right.double().mean().item(),
        }

    def _split(self, part: Part) -> Split:
        points, labels = self._points(part)
        return Split(torch.tensor(points), torch.tensor(labels).unsqueeze(1))

    def _points(self, part: Part) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return _drawn(list(self.sizes).index(part), self.sizes[part], self.input_size)


@cache
def _drawn(
    seed: int, count: int, dimensions: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Points (N, dimensions) and labels (N,); numpy froze the stream of its `RandomState`."""
    draw = np.random.RandomState(seed)
    inside = np.arange(count) < round(BALL_SHARE * count)
    radii = np.where(inside, draw.uniform(0, INNER, count), draw.uniform(*SHELL, count))
    directions = draw.standard_normal((count, dimensions))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    points = radii[:, None] * directions
    return points.astype(np.float32), np.where(inside, -1.0, 1.0).astype(np.float32)
