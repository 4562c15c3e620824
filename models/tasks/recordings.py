"""Recorded vibrations: an aircraft at irregular times, and an electronic Duffing oscillator.

F-16 ground vibration: Noël, Schoukens, "F-16 aircraft benchmark based on ground vibration test
data" (2017), sampled as in the momentum paper's "plane vibration" (section 2.3). Silverbox: Wigren,
Schoukens, "Three free data sets for development and benchmarking in nonlinear system
identification" (2013). Neither may be redistributed: the user brings the file.
"""

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .forecasting import Forecasting, Series, observed_until
from .sources import PARTS, VARIABLE, Part, data_folder, sha256

Numbers = NDArray[np.float64]


class Vibration(Forecasting):
    """Force, voltage and three accelerations of an F-16, (T, 7), T = length + horizon - 1.

    As published: a random tenth of the rows is missing, so that gaps are irregular; the kept rows
    are split 50/25/25 in order and cut into pieces of length + 1. All but the last row of a piece
    are seen; the forecast is of `horizon` rows without gaps, from the last one on. Values are in
    units of their standard deviation in the training rows, so that the error of their mean is near
    1 (the authors take all rows for this). Times are in rows, of 1/400 s.

    Args:
        length: rows that are seen; 64 as published.
        horizon: rows of the forecast; 8 as published.
        samples: of each split at most so many, evenly over its time; None for all.

    Raises:
        FileNotFoundError: when data are asked for and `pv.csv` is not in the data folder.
    """

    name = "vibration"
    input_size = 5
    output_size = 5
    needs_data = True
    chance = 1.0

    def __init__(self, length: int = 64, horizon: int = 8, samples: int | None = None) -> None:
        _check(length, horizon, samples)
        self.length, self.horizon, self.samples = length, horizon, samples

    @property
    def data(self) -> dict[str, str | int]:
        """Source, sizes, and the sha256 of all series."""
        return _described(f"{self.name}-{self.length}: pv.csv", self)

    def _series(self, part: Part) -> Series:
        rows = _rows("pv.csv", 5)
        kept = _kept(len(rows))
        starts = _starts(kept[_share(len(kept), part)], self.length + 1)
        pieces = _evenly(starts, self.samples)
        beyond = pieces[:, -1:] + np.arange(1, self.horizon)
        stamps = np.concatenate([pieces, beyond], axis=1)
        known = rows[: kept[len(kept) // 2]]
        values = (rows[stamps] - known.mean(0)) / known.std(0)
        return observed_until(values, stamps.astype(np.float64), self.horizon)


class Silverbox(Forecasting):
    """Input voltage of the next step, output voltage, whether it is known, 1 and 1: (T, 5).

    The answer is the output voltage at the next step, T = length. The output is known up to where
    the forecast begins; from there on only the input is. The multisine part of the recording, after
    its first 40,000 steps, is split 50/25/25 in order; voltages are in units of their standard
    deviation in its training half.

    Args:
        length: steps of a series.
        horizon: how many of them run freely.
        samples: of each split at most so many, evenly over its time; None for all.

    Raises:
        FileNotFoundError: when data are asked for and `sb.csv` is not in the data folder.
    """

    name = "silverbox"
    input_size = 3
    output_size = 1
    needs_data = True
    chance = 1.0

    def __init__(self, length: int = 64, horizon: int = 32, samples: int | None = None) -> None:
        _check(length, horizon, samples)
        if horizon >= length:
            raise ValueError(f"horizon must be below length, got {horizon} of {length}")
        self.length, self.horizon, self.samples = length, horizon, samples

    @property
    def data(self) -> dict[str, str | int]:
        """Source, sizes, and the sha256 of all series."""
        return _described(f"{self.name}-{self.length}: sb.csv", self)

    def recording(self) -> Numbers:
        """All of it, input and output voltage: (131072, 2) in volt."""
        return _rows("sb.csv", 2)

    def _series(self, part: Part) -> Series:
        rows = self.recording()[40_000:]
        known = rows[: len(rows) // 2]
        rows = (rows - known.mean(0)) / known.std(0)
        places = np.arange(len(rows))[_share(len(rows), part)]
        pieces = rows[_evenly(_starts(places, self.length + 1), self.samples)]
        entered, left = pieces[..., :1], pieces[..., 1:]
        seen = np.ones_like(left[:, :-1])
        seen[:, self.length - self.horizon + 1 :] = 0
        inputs = [entered[:, 1:], left[:, :-1] * seen, seen, np.ones_like(seen), np.ones_like(seen)]
        return np.concatenate(inputs, axis=-1).astype(np.float32), left[:, 1:].astype(np.float32)


def _check(length: int, horizon: int, samples: int | None) -> None:
    if length < 2 or horizon < 1 or (samples is not None and samples < 1):
        raise ValueError(
            "length must be at least 2, horizon and samples at least 1, "
            f"got {length}, {horizon} and {samples}"
        )


def _described(name: str, task: Vibration | Silverbox) -> dict[str, str | int]:
    splits = {part: task._series(part) for part in PARTS}
    sizes = {str(part): len(inputs) for part, (inputs, _) in splits.items()}
    hashed = sha256(*(array for series in splits.values() for array in series))
    return {"name": name, **sizes, "sha256": hashed}


def _rows(name: str, columns: int) -> Numbers:
    folder = data_folder()
    if folder is None or not (folder / name).is_file():
        raise FileNotFoundError(
            f"no {name} in {folder or 'a data folder'}: put it there and name the folder by --data "
            f"or {VARIABLE}. https://www.nonlinearbenchmark.org has the recordings (F-16: columns "
            "Force, Voltage, Acceleration1-3; Silverbox: V1, V2)"
        )
    return _read(folder / name, columns)


@cache
def _read(path: Path, columns: int) -> Numbers:
    return np.loadtxt(path, delimiter=",", skiprows=1, usecols=range(columns))


@cache
def _kept(rows: int) -> NDArray[np.int64]:
    """The rows that the paper keeps, in order: its random numbers, drawn as its code draws them."""
    draw = np.random.RandomState(1)
    draw.randn(rows, 5)  # the authors draw an initial state first
    span = rows - 100
    return np.sort(draw.choice(span, int(span * 0.9), replace=False))


def _share(count: int, part: Part) -> slice:
    """The first half, the third and the fourth quarter."""
    half, quarter = count // 2, count // 4
    ends = {"train": (0, half), "validation": (half, half + quarter)}
    return slice(*ends.get(part, (half + quarter, count)))


def _starts(places: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Places cut into pieces (N, length), without the rest."""
    count = len(places) // length
    if count == 0:
        raise ValueError(f"a piece of {length} rows is longer than a split of {len(places)}")
    return places[: count * length].reshape(count, length)


def _evenly(pieces: NDArray[np.int64], samples: int | None) -> NDArray[np.int64]:
    """As many pieces as wanted, the first and others at equal distances."""
    if samples is None or samples >= len(pieces):
        return pieces
    return pieces[np.arange(samples) * len(pieces) // samples]
