"""Making images pixel by pixel, each from those before it: how many bits does a pixel cost?

The task of Katharopoulos et al. (arXiv:2006.16236) and of the Momentum Transformer (section 3.2 of
paper.md): a mixture of ten logistics for each byte.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .cifar10 import CIFAR10
from .digits import BRIGHTEST, Digits
from .logistics import log_masses, masses
from .mnist import MNIST
from .pixels import quantised
from .task import Split, Task
from .tokens import TokenSplit, TokenTask

Pictures = Literal["digits", "mnist", "cifar10"]
MIXTURE = 10  # logistics


class Stepping(Protocol):
    """A network that goes token by token, such as `AutoregressiveTransformer`."""

    def token(self, tokens: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Prediction (B, K) from tokens (B,), and the state to go on with."""
        ...


@dataclass(frozen=True)
class Source:
    """Images of another task, (T, 1) or (C, H, W), and how many levels their pixels have."""

    task: Callable[..., Task]
    levels: int
    shape: tuple[int, ...]


SOURCES: dict[Pictures, Source] = {
    "digits": Source(Digits, BRIGHTEST + 1, (8, 8)),
    "mnist": Source(MNIST, 256, (28, 28)),
    "cifar10": Source(CIFAR10, 256, (32, 32, 3)),
}


class Generation(TokenTask):
    """The next pixel of an image; a token is a pixel's level, and the first one says: begin.

    Images, their splits and where they come from are those of `Digits`, `MNIST` and `CIFAR10`. A
    prediction is 30 numbers a step, of a mixture of logistics over the levels (`logistics`). The
    metric is `bits` per pixel, for colours per byte; whoever takes every level for equally likely
    reaches the logarithm of their number.

    Args:
        pictures: which images: 64 pixels of 17 levels, 784 of 256, or 3,072 bytes.
        samples: of each split at most so many (not of digits, which are few); None for all.
    """

    metric = "bits"
    direction: Literal["minimize"] = "minimize"
    output_size = 3 * MIXTURE

    def __init__(self, pictures: Pictures = "digits", *, samples: int | None = None) -> None:
        if pictures not in get_args(Pictures):
            raise ValueError(f"no pictures {pictures!r}; there are {', '.join(get_args(Pictures))}")
        if pictures == "digits" and samples is not None:
            raise ValueError(f"digits are few and taken whole: leave samples out, got {samples}")
        source = SOURCES[pictures]
        self.levels, self.shape = source.levels, source.shape
        self.images = source.task(**({} if samples is None else {"samples": samples}))
        self.name = f"generation-{pictures}"
        self.input_size, self.length = self.levels + 1, math.prod(self.shape)
        self.chance, self.whole = math.log2(self.levels), self.images.whole

    @property
    def data(self) -> dict[str, str | int]:
        """Source, sizes and sha256 of the images."""
        data = self.images.data
        return {**data, "name": f"{self.name}: {data['name']}"}

    def train(self) -> TokenSplit:
        """Images to learn from."""
        return self._split(self.images.train())

    def validation(self) -> TokenSplit:
        """Images that are held out."""
        return self._split(self.images.validation())

    def test(self) -> TokenSplit:
        """Images to judge by."""
        return self._split(self.images.test())

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Nats per pixel of mixtures (B, T, 30) against levels (B, T)."""
        return -log_masses(prediction, target, self.levels).mean()

    def condensed(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The nats that each pixel cost (B, T), and the levels (B, T)."""
        return -log_masses(prediction, target, self.levels), target

    def metrics(self, prediction: Tensor, target: Tensor) -> dict[str, float]:
        """`loss` in nats and `bits` per pixel, from what `condensed` keeps."""
        nats = prediction.double().mean().item()
        return {"loss": nats, "bits": nats / math.log(2)}

    def samples(self, network: Stepping, n: int, seed: int) -> NDArray[np.uint8]:
        """New images (n, height, width), or (n, height, width, 3), from black 0 to white 255.

        Args:
            network: goes token by token; in evaluation mode, if it knows one.
            n: how many.
            seed: which.
        """
        place = next(network.parameters()).device if isinstance(network, torch.nn.Module) else None
        chance = torch.Generator().manual_seed(seed)
        levels, state = torch.full((n,), self.levels, device=place), None
        drawn = []
        with torch.no_grad():
            for _ in range(self.length):
                prediction, state = network.token(levels, state)
                likely = masses(prediction, self.levels).cpu()
                levels = torch.multinomial(likely, 1, generator=chance).squeeze(1).to(place)
                drawn.append(levels)
        scaled = torch.stack(drawn, 1).double() * 255 / (self.levels - 1)
        return scaled.round().byte().cpu().numpy().reshape(n, *self.shape)

    def _split(self, images: Split) -> TokenSplit:
        colours_last = images.inputs.movedim(1, -1) if len(self.shape) == 3 else images.inputs
        pixels = quantised(colours_last.flatten(1), self.levels)
        begin = torch.full_like(pixels[:, :1], self.levels)
        return TokenSplit(torch.cat([begin, pixels[:, :-1]], 1), pixels)
