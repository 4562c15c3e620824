"""Colour photographs as sequences of grey levels: the Long Range Arena's task `image`.

Tay et al., "Long Range Arena" (arXiv:2011.04006), section 2.4.
"""

from torch import Tensor

from .cifar10 import CIFAR10
from .classification import Classification
from .task import Split
from .tokens import TokenSplit, TokenTask

LEVELS = 256
LUMA = (0.299, 0.587, 0.114)  # how bright red, green and blue are to the eye


class GreyImages(Classification, TokenTask):
    """The photographs of CIFAR-10 row by row, each pixel a token: how bright it is, of 256 levels.

    Args:
        images: where they come from, and of which size.
    """

    input_size = LEVELS
    needs_data = True

    def __init__(self, images: CIFAR10) -> None:
        self.images = images
        self.name = f"{images.name}-grey"
        self.length = images.side**2
        self.output_size, self.chance = images.output_size, images.chance
        self.whole = images.whole

    @property
    def data(self) -> dict[str, str | int]:
        """That of the photographs."""
        return self.images.data

    def train(self) -> TokenSplit:
        """Photographs to learn from."""
        return self._split(self.images.train())

    def validation(self) -> TokenSplit:
        """Photographs that are held out."""
        return self._split(self.images.validation())

    def test(self) -> TokenSplit:
        """Photographs to judge by."""
        return self._split(self.images.test())

    def _split(self, images: Split) -> TokenSplit:
        brightness = (images.inputs.movedim(1, -1) @ images.inputs.new_tensor(LUMA)).flatten(1)
        return TokenSplit(quantised(brightness, LEVELS), images.targets)


def quantised(pixels: Tensor, levels: int) -> Tensor:
    """Whole numbers below `levels` of pixels from 0 to 1."""
    return (pixels * (levels - 1)).round().long()
