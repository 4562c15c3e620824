"""Walker2D: the joints of a walking figure, watched at irregular times.

Lechner, Hasani, "Learning Long-Term Dependencies in Irregularly-Sampled Time Series" (2020), whose
recordings the momentum paper uses (section 2.3). Who has them puts them into the data folder; else
the same figure is simulated here, which is another data set and is named so.
"""

import io
import zipfile
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import mse_loss

from .forecasting import Forecasting, Series, observed_until
from .kept import kept
from .sources import PARTS, VARIABLE, Part, data_folder, sha256

Numbers = NDArray[np.float64]

WIDTH = 17  # numbers in a frame
FEWEST = 10  # recordings, so that each split has one
UNIT = 64  # frames in a unit of time, as published

FIGURE = "Walker2d-v5"
GAIT = 1  # the version of `_walk`: to be raised when it walks otherwise
FRAMES_A_SECOND = 125
ANGLES, SPEEDS = slice(2, 8), slice(11, 17)  # of the joints, in what is seen
MIDDLE_LOW, MIDDLE_HIGH = (-0.5, -0.7, -0.2), (-0.1, -0.2, 0.2)  # of thigh, leg, foot, in radians
STIFFNESS, FRICTION = 1.0, 0.02  # of the servos, in units of a joint's greatest torque


@dataclass(frozen=True)
class Simulated:
    """What decides on simulated recordings."""

    rollouts: int
    frames: int
    gymnasium: str
    mujoco: str

    def __str__(self) -> str:
        return (
            f"simulated by gymnasium {self.gymnasium} with mujoco {self.mujoco}, "
            f"{self.rollouts} rollouts of {self.frames} frames"
        )


class Walker(Forecasting):
    """Next of 17 numbers (heights, angles and their speeds), (T, 19), T = length.

    As published: a random tenth of the frames is missing; whole recordings train, validate (10%)
    and test (15%); a quarter of a sequence's length lies between the beginnings of two. All that is
    kept is seen, and every answer counts alike. Otherwise than in the authors' code, the answer is
    the next frame that is kept and the time is that to it (they ask for the next frame recorded,
    and give the time since the last one kept), and values are in units of their standard deviation
    in the training recordings, so that the error of their mean is near 1.

    The recordings are the first of these that are there, and `data` says which:

    1. `walker.zip` in the data folder, as its authors publish it, or the folder `walker` with its
       files;
    2. simulated ones, by gymnasium and mujoco (the extra `walker`). Servos pull the joints along a
       periodic gait, another in each recording; the figure stumbles and falls, and goes on. They
       are kept on disk (`kept`).

    Args:
        length: frames of a sequence; 64 as published.
        samples: of each split at most so many, evenly over its time; None for all.
        rollouts: how many recordings are simulated, at least 10.
        frames: of each of these, 125 a second.

    Raises:
        FileNotFoundError: when data are asked for, and there are none and no simulator.
    """

    name = "walker"
    metric = "loss"
    input_size = output_size = WIDTH
    horizon = 1
    chance = 1.0

    def __init__(
        self,
        length: int = 64,
        samples: int | None = None,
        *,
        rollouts: int = 400,
        frames: int = 300,
    ) -> None:
        if length < 4 or (samples is not None and samples < 1):
            raise ValueError(
                f"length must be at least 4 and samples at least 1, got {length} and {samples}"
            )
        if rollouts < FEWEST or frames < 2 * length:
            raise ValueError(
                f"rollouts must be at least {FEWEST} and frames twice a sequence's length, "
                f"got {rollouts} and {frames} for {length=}"
            )
        self.length, self.samples = length, samples
        self.rollouts, self.frames = rollouts, frames

    @property
    def data(self) -> dict[str, str | int]:
        """Source, sizes, and the sha256 of all sequences."""
        source = self._source()
        name = source if isinstance(source, Simulated) else f"published, {source.name}"
        parts = {part: self._series(part) for part in PARTS}
        return {
            "name": f"{self.name}-{self.length}: {name}",
            **{str(part): len(inputs) for part, (inputs, _) in parts.items()},
            "sha256": sha256(*(array for series in parts.values() for array in series)),
        }

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Mean squared error of all answers (B, T, D)."""
        return mse_loss(prediction, target)

    def metrics(self, prediction: Tensor, target: Tensor) -> dict[str, float]:
        """`loss`."""
        return {"loss": self.loss(prediction, target).item()}

    def _series(self, part: Part) -> Series:
        values, times = _sequences(self._source(), self.length)[part]
        if self.samples is not None and self.samples < len(values):
            chosen = np.arange(self.samples) * len(values) // self.samples
            values, times = values[chosen], times[chosen]
        return observed_until(values, times, self.horizon)

    def _source(self) -> Path | Simulated:
        folder = data_folder()
        for published in [folder / "walker.zip", folder / "walker"] if folder else []:
            if published.exists():
                return published
        if find_spec("gymnasium") is None or find_spec("mujoco") is None:
            raise FileNotFoundError(
                f"no walker.zip in {folder or 'a data folder'} and no simulator: `pip install "
                "'momentune[walker]'` brings one; for the published recordings see "
                "https://github.com/mlech26l/ode-lstms, and name their folder by --data or "
                f"{VARIABLE}"
            )
        return Simulated(self.rollouts, self.frames, version("gymnasium"), version("mujoco"))


@cache
def _sequences(source: Path | Simulated, length: int) -> dict[Part, tuple[Numbers, Numbers]]:
    """Values (N, length + 1, 17) and times (N, length + 1) of each split."""
    recordings = _simulated(source) if isinstance(source, Simulated) else _published(source)
    parted = _parted(recordings)
    draw = np.random.RandomState(891374)  # the authors' numbers, drawn in their order
    frames = {part: [_cut(len(one), length, draw) for one in parted[part]] for part in PARTS}
    known = np.concatenate(parted["train"])
    mean, spread = known.mean(0), known.std(0)
    return {
        part: (
            np.concatenate(
                [
                    (one - mean)[at] / spread
                    for one, at in zip(parted[part], frames[part], strict=True)
                ]
            ),
            np.concatenate(frames[part]) / UNIT,
        )
        for part in PARTS
    }


def _parted(recordings: list[Numbers]) -> dict[Part, list[Numbers]]:
    """15% of the recordings test, 10% validate, the rest train, in the authors' order."""
    order = np.arange(len(recordings))
    np.random.RandomState(125487).shuffle(order)
    test, seen = int(0.15 * len(order)), int(0.25 * len(order))
    places = {"train": order[seen:], "validation": order[test:seen], "test": order[:test]}
    return {part: [recordings[place] for place in places[part]] for part in PARTS}


def _cut(frames: int, length: int, draw: np.random.RandomState) -> NDArray[np.int64]:
    """The frames (N, length + 1) of a recording's sequences; about a tenth of all is left out."""
    seen = np.flatnonzero(draw.rand(frames - 1) < 0.9)
    begins = np.arange(0, len(seen) - length, length // 4)
    pieces: NDArray[np.int64] = seen[begins[:, None] + np.arange(length + 1)]
    return pieces


def _published(source: Path) -> list[Numbers]:
    """The arrays of every file `*.npy`, in a folder or a zip, in the order of their names."""
    try:
        found = _folder(source) if source.is_dir() else _archive(source)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{source} cannot be read ({error}); fetch it again") from error
    shapes = {one.shape[1:] for one in found}
    if len(found) < FEWEST or shapes != {(WIDTH,)}:
        raise ValueError(
            f"{source} must hold at least {FEWEST} recordings *.npy of shape (frames, {WIDTH}), "
            f"but holds {len(found)} with frames of shape {sorted(shapes)}"
        )
    return found


def _folder(source: Path) -> list[Numbers]:
    return [np.load(path) for path in sorted(source.rglob("*.npy"))]


def _archive(source: Path) -> list[Numbers]:
    with zipfile.ZipFile(source) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".npy"))
        return [np.load(io.BytesIO(archive.read(name))) for name in names]


def _simulated(source: Simulated) -> list[Numbers]:
    """Recordings that are made once and kept on disk."""
    (rollouts,) = kept("walker", {**asdict(source), "gait": GAIT}, lambda: (_walks(source),))
    return list(rollouts)


def _walks(source: Simulated) -> Numbers:
    """Rollouts (N, frames, 17), each with a seed of its own."""
    import gymnasium

    figure = gymnasium.make(FIGURE, terminate_when_unhealthy=False, max_episode_steps=None)
    try:
        return np.stack([_walk(figure, source.frames, seed) for seed in range(source.rollouts)])
    finally:
        figure.close()


def _walk(figure: Any, frames: int, seed: int) -> Numbers:
    """One rollout (frames, 17): thigh, leg and foot of both sides swing, half a period apart."""
    draw = np.random.RandomState(seed)
    middle, swing = draw.uniform(MIDDLE_LOW, MIDDLE_HIGH), draw.uniform(0.1, 0.5, 3)
    phase, pace = draw.uniform(0, 2 * np.pi, 3), draw.uniform(0.6, 2.0)  # periods a second
    phases = np.concatenate([phase, phase + np.pi])
    seen, _ = figure.reset(seed=seed)
    rows = [seen]
    for frame in range(1, frames):
        wanted = np.tile(middle, 2) + np.tile(swing, 2) * np.sin(
            2 * np.pi * pace * frame / FRAMES_A_SECOND + phases
        )
        pull = STIFFNESS * (wanted - seen[ANGLES]) - FRICTION * seen[SPEEDS]
        seen, *_ = figure.step(np.clip(pull, -1, 1).astype(np.float32))
        rows.append(seen)
    return np.stack(rows)
