"""A PNG holds the images that were written, by a reader of our own."""

import struct
import zlib

import numpy as np
import pytest

from momentune.models.tasks.png import save_png


def read_png(content: bytes) -> np.ndarray:
    """Pixels (H, W, C) of a file without filters, as its specification says."""
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    parts, rest = {}, content[8:]
    while rest:
        (length,) = struct.unpack(">I", rest[:4])
        kind, body, (checksum,) = (
            rest[4:8],
            rest[8 : 8 + length],
            struct.unpack(">I", rest[8 + length : 12 + length]),
        )
        assert zlib.crc32(kind + body) == checksum
        parts[kind], rest = body, rest[12 + length :]
    width, height, depth, colour, *others = struct.unpack(">IIBBBBB", parts[b"IHDR"])
    assert (depth, others, parts[b"IEND"]) == (8, [0, 0, 0], b"")
    colours = {0: 1, 2: 3}[colour]
    lines = np.frombuffer(zlib.decompress(parts[b"IDAT"]), np.uint8).reshape(height, -1)
    assert not lines[:, 0].any()
    return lines[:, 1:].reshape(height, width, colours)


@pytest.mark.parametrize("shape", [(1, 4, 5), (5, 4, 3), (4, 2, 2, 3)])
def test_images_are_read_as_they_were_written(shape, tmp_path):
    images = np.random.RandomState(0).randint(0, 256, shape).astype(np.uint8)
    save_png(images, tmp_path / "sheet.png")
    sheet = read_png((tmp_path / "sheet.png").read_bytes())
    columns = int(np.ceil(np.sqrt(shape[0])))
    for number, image in enumerate(images):
        top, left = number // columns * (shape[1] + 1), number % columns * (shape[2] + 1)
        found = sheet[top : top + shape[1], left : left + shape[2]]
        assert np.array_equal(found.squeeze(-1) if image.ndim == 2 else found, image)


def test_zoom_makes_every_pixel_a_square(tmp_path):
    save_png(np.array([[[0, 255]]], np.uint8), tmp_path / "big.png", zoom=3)
    big = read_png((tmp_path / "big.png").read_bytes()).squeeze(-1)
    assert big.tolist() == [[0, 0, 0, 255, 255, 255]] * 3


@pytest.mark.parametrize(
    ("images", "rule"),
    [
        (np.zeros((0, 2, 2), np.uint8), "must be .N, H, W"),
        (np.zeros((1, 2, 2, 2), np.uint8), "must be .N, H, W"),
        (np.zeros((1, 2, 2)), "must be uint8"),
    ],
)
def test_what_is_no_image_is_refused(images, rule, tmp_path):
    with pytest.raises(ValueError, match=rule):
        save_png(images, tmp_path / "none.png")
