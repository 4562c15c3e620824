"""Images as one PNG file, which every browser shows."""

import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

BORDER = 1  # pixels between images
COLOURS = {1: 0, 3: 2}  # PNG's number for grey, and for red, green and blue


def save_png(images: NDArray[np.uint8], path: Path, *, zoom: int = 1) -> None:
    """Write images side by side, as near to a square as they go.

    Args:
        images: (N, height, width), or (N, height, width, 3), from black 0 to white 255.
        path: of the file.
        zoom: each pixel is so many pixels high and wide.

    Raises:
        ValueError: there are no images, or of another shape or type.
    """
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or 0 in images.shape or images.shape[3] not in COLOURS:
        raise ValueError(f"images must be (N, H, W) or (N, H, W, 3), got {images.shape}")
    if images.dtype != np.uint8 or zoom < 1:
        raise ValueError(f"images must be uint8 and zoom at least 1, got {images.dtype} and {zoom}")
    sheet = _sheet(images).repeat(zoom, 0).repeat(zoom, 1)
    height, width, colours = sheet.shape
    lines = np.zeros((height, 1 + width * colours), np.uint8)  # each starts with 0: no filter
    lines[:, 1:] = sheet.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, COLOURS[colours], 0, 0, 0)
    chunks = _chunk(b"IHDR", header), _chunk(b"IDAT", zlib.compress(lines.tobytes(), 9))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + _chunk(b"IEND", b""))


def _sheet(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, C), the images in rows, with grey between them."""
    columns = math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    _, height, width, colours = images.shape
    shape = rows * columns, height + BORDER, width + BORDER, colours
    framed = np.full(shape, 128, np.uint8)
    framed[: len(images), :height, :width] = images
    grid = framed.reshape(rows, columns, *shape[1:]).swapaxes(1, 2)
    return grid.reshape(rows * shape[1], columns * shape[2], colours)[:-BORDER, :-BORDER]


def _chunk(kind: bytes, content: bytes) -> bytes:
    """A part of a PNG file: length, kind, content, checksum of the last two."""
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
