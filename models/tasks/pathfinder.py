"""Pathfinder: are the two dots at the ends of one dashed path, among paths that distract?

Linsley et al., "Learning long-range spatial dependencies with horizontal gated recurrent units"
(2018), as pixel sequences in the Long Range Arena (Tay et al., arXiv:2011.04006).
"""

from functools import cache
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .arena import arena
from .labelled import Labelled, LabelledTokens
from .sources import Part, data_folder, ranks

Level = Literal["easy", "medium", "hard"]
FOLDERS: dict[Level, str] = {
    "easy": "curv_baseline",
    "medium": "curv_contour_length_9",
    "hard": "curv_contour_length_14",
}
SIDES = (32, 64, 128, 256)  # of the images that are published, in pixels
_PARTS = np.array([*("train",) * 8, "validation", "test"])

Listed = tuple[tuple[Path, ...], NDArray[np.uint8]]
"""Files of images and what they show."""


class Pathfinder(LabelledTokens):
    """Two classes, two paths and one; a token is a pixel of 256 grey levels, row by row.

    From `pathfinder32` (64, 128, 256) of the Long Range Arena's release: PNG files in `imgs`, and
    in `metadata` a line for each, whose fourth word is the class. Of each class eight of every ten
    train, the ninth validates, the tenth tests; the Arena has the same shares in another order.
    Images of no bytes, of which the release has some, are left out. Needs pillow (the extra
    `data`).

    Args:
        level: how long the path is: of 6 dashes, 9, or 14, which the Long Range Arena takes.
        side: of the published images in pixels.
        shrunk: of the images that are read, `side` divided by a whole number, blocks averaged; None
            for `side`.
        samples: of each split at most so many, as many of each class; None for all.

    Raises:
        FileNotFoundError: when data are asked for and the folder is not there.
    """

    input_size = 256
    output_size = 2
    needs_data = True
    chance = 0.5

    def __init__(
        self,
        level: Level = "hard",
        *,
        side: int = 32,
        shrunk: int | None = None,
        samples: int | None = None,
    ) -> None:
        if level not in get_args(Level) or side not in SIDES:
            raise ValueError(
                f"level must be {', '.join(get_args(Level))}, and side "
                f"{', '.join(map(str, SIDES))}, got {level!r} and {side}"
            )
        if shrunk is not None and (shrunk < 1 or side % shrunk):
            raise ValueError(f"shrunk must divide side={side}, got {shrunk}")
        super().__init__(samples)
        self.level: Level = level
        self.side, self.shrunk = side, shrunk or side
        self.length = self.shrunk**2
        self.name = f"pathfinder-{level}-{self.shrunk}x{self.shrunk}"

    def _source_name(self) -> str:
        return f"pathfinder{self.side}/{FOLDERS[self.level]}"

    def _labelled(self, part: Part) -> Labelled:
        """Pixels (N, T) and labels (N,): the first of each class, then the second, and so on."""
        files, labels = _listed(data_folder(), self.side, self.level)
        place = ranks(labels)
        of_part = np.flatnonzero(_PARTS[place % len(_PARTS)] == part)
        order = of_part[np.lexsort((labels[of_part], place[of_part]))][: self.samples]
        return _decoded(tuple(files[k] for k in order), self.side, self.shrunk), labels[order]


@cache
def _listed(folder: Path | None, side: int, level: Level) -> Listed:
    place = arena(folder, f"pathfinder{side}") / FOLDERS[level]
    lists = sorted((place / "metadata").glob("*.npy"), key=lambda path: (len(path.stem), path.stem))
    words = [line.split() for path in lists for line in path.read_text("utf-8").splitlines()]
    files = [place / word[0] / word[1] for word in words]
    there = [k for k, file in enumerate(files) if file.is_file() and file.stat().st_size]
    labels = np.array([words[k][3] for k in there], dtype=np.uint8)
    if len(np.unique(labels)) < 2 or np.bincount(labels).min() < len(_PARTS):
        raise FileNotFoundError(
            f"{place} has {len(there)} of the {len(files)} images that its metadata list, and at "
            f"least {len(_PARTS)} of each class are needed; unpack it once more"
        )
    return tuple(files[k] for k in there), labels


@cache
def _decoded(files: tuple[Path, ...], side: int, shrunk: int) -> NDArray[np.uint8]:
    """Grey levels (N, shrunk * shrunk)."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("PNG images need pillow: pip install 'momentune[data]'") from error
    block = side // shrunk
    pixels = np.empty((len(files), shrunk * shrunk), dtype=np.uint8)
    for row, file in zip(pixels, files, strict=True):
        with Image.open(file) as image:
            if image.size != (side, side):
                raise ValueError(f"{file} must be {side} x {side} pixels, got {image.size}")
            levels = np.asarray(image.convert("L"), dtype=np.float32)
        row[:] = levels.reshape(shrunk, block, shrunk, block).mean((1, 3)).round().ravel()
    return pixels
