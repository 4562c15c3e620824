"""A task of pixel sequences as a task of images, for networks that read them whole."""

from torch import Tensor

from .classification import Classification
from .digits import Digits
from .mnist import MNIST, SIDE
from .task import Split


class Images(Classification):
    """The samples, splits and metrics of another task, each sequence as an image (C, H, W).

    Args:
        task: its samples are the pixels of an image, row by row, (H x W, C).
        shape: C, H, W.
    """

    def __init__(self, task: Classification, shape: tuple[int, int, int]) -> None:
        self.task, self.shape = task, shape
        self.name = f"{task.name}-image"
        self.input_size, self.output_size, self.chance = shape[0], task.output_size, task.chance
        self.whole = task.whole

    @property
    def data(self) -> dict[str, str | int]:
        """That of the other task."""
        return self.task.data

    def train(self) -> Split:
        """Images to learn from."""
        return self._images(self.task.train())

    def validation(self) -> Split:
        """Images to search by."""
        return self._images(self.task.validation())

    def test(self) -> Split:
        """Images to judge by."""
        return self._images(self.task.test())

    def _images(self, split: Split) -> Split:
        pixels: Tensor = split.inputs.transpose(1, 2)
        return Split(pixels.reshape(len(split), *self.shape).contiguous(), split.targets)


def digits_image() -> Images:
    """Scikit-learn's handwritten digits, (1, 8, 8)."""
    return Images(Digits(), (1, 8, 8))


def mnist_image(side: int = SIDE, samples: int | None = None) -> Images:
    """MNIST, (1, side, side); sizes as in `MNIST`."""
    return Images(MNIST(side=side, samples=samples), (1, side, side))
