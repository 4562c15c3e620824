r"""Oscillators watched at irregular times: where second order is the truth.

| system | equation |
| --- | --- |
| damped | $x'' + 2 \zeta \omega x' + \omega^2 x = 0$ |
| forced | $x'' + 2 \zeta \omega x' + \omega^2 x = F \cos \Omega t$ |
| duffing | $x'' + \delta x' + \alpha x + \beta x^3 = F \cos \Omega t$ |
| van_der_pol | $x'' - \mu (1 - x^2) x' + x = 0$ |

Each series has its own constants and start; only x is seen. All are integrated by the classical
Runge-Kutta method in steps so small that the error is far below float32's.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from .forecasting import Forecasting, Series, observed_until
from .sources import PARTS, Part, sha256

Numbers = NDArray[np.float64]

SYSTEMS = ("damped", "forced", "duffing", "van_der_pol")

CONSTANTS: dict[str, dict[str, tuple[float, float]]] = {
    "damped": {"stiffness": (1, 6), "damping": (0.05, 0.5)},
    "forced": {"stiffness": (1, 6), "damping": (0.1, 0.5), "force": (0.5, 2), "speed": (0.5, 2)},
    "duffing": {
        "stiffness": (-1, 1),
        "cubic": (0.5, 1.5),
        "damping": (0.1, 0.4),
        "force": (0.1, 0.5),
        "speed": (0.8, 1.4),
    },
    "van_der_pol": {"stiffness": (1, 1), "growth": (0.3, 2)},
}
"""The range of each system's constants; one that is not named is 0."""

GAPS = (0.05, 0.5)  # between observations
SUBSTEPS = 50  # of the integration, in a gap


class Oscillators(Forecasting):
    """Positions x at irregular times, (T, 3): x, whether it was seen, the time to the next.

    Gaps are uniform between 0.05 and 0.5. Positions are in units of their root mean square over
    the training series, so that 0 as a forecast has an error near 1.

    Args:
        system: a name in `SYSTEMS`, or "all" for as many series of each.
        length: T, how many answers there are.
        horizon: how many of them are the forecast.
        train: series to learn from.
        held_out: series of validation and of test each.
        noise: standard deviation of what is added to every observation, in the same units.
    """

    input_size = 1
    output_size = 1
    chance = 1.0

    def __init__(
        self,
        system: str = "all",
        *,
        length: int = 32,
        horizon: int = 8,
        train: int = 256,
        held_out: int = 128,
        noise: float = 0.0,
    ) -> None:
        if system not in (*SYSTEMS, "all"):
            raise ValueError(f"no system {system!r}; there are {', '.join(SYSTEMS)} and all")
        if not 1 <= horizon < length:
            raise ValueError(f"horizon must be from 1 to below length, got {horizon} of {length}")
        if min(train, held_out) < len(SYSTEMS):
            raise ValueError(f"train and held_out must be at least 4, got {train} and {held_out}")
        if noise < 0:
            raise ValueError(f"noise must be at least 0, got {noise}")
        self.name = "oscillators" if system == "all" else f"oscillators-{system}"
        self.systems = SYSTEMS if system == "all" else (system,)
        self.length, self.horizon, self.noise = length, horizon, noise
        self.sizes: dict[Part, int] = {"train": train, "validation": held_out, "test": held_out}

    @property
    def data(self) -> dict[str, str | int]:
        """Name, sizes, and the sha256 of all series."""
        series = (array for part in PARTS for array in self._series(part))
        sizes = {str(part): size for part, size in self.sizes.items()}
        return {"name": f"{self.name}-{self.length}", **sizes, "sha256": sha256(*series)}

    def _series(self, part: Part) -> Series:
        scale = np.sqrt(np.square(self._positions("train")[1]).mean())
        times, positions = self._positions(part)
        draw = np.random.RandomState([PARTS.index(part), 1])  # not the stream of the positions
        noise = draw.standard_normal(positions.shape)
        values = positions / scale
        inputs, _ = observed_until((values + self.noise * noise)[..., None], times, self.horizon)
        return inputs, values[:, 1:, None].astype(np.float32)

    def _positions(self, part: Part) -> tuple[Numbers, Numbers]:
        seed = PARTS.index(part)
        return _drawn(self.systems, self.sizes[part], self.length + 1, seed)


def solution(
    times: Numbers, start: Numbers, constants: dict[str, Numbers], substeps: int = SUBSTEPS
) -> Numbers:
    """Positions (N, T) of N oscillators at their times (N, T), increasing.

    Args:
        times: of each oscillator; the first are where it starts.
        start: (N, 2), position and velocity there.
        constants: by the names in `CONSTANTS`, (N,) each.
        substeps: Runge-Kutta steps from one time to the next.
    """
    state, positions = start, [start[:, 0]]
    for begin, end in zip(times.T, times.T[1:], strict=False):
        step = ((end - begin) / substeps)[:, None]
        for k in range(substeps):
            state = _runge_kutta(begin[:, None] + k * step, state, step, constants)
        positions.append(state[:, 0])
    return np.stack(positions, axis=1)


def _runge_kutta(
    t: Numbers, state: Numbers, step: Numbers, constants: dict[str, Numbers]
) -> Numbers:
    first = _motion(t, state, constants)
    second = _motion(t + step / 2, state + step / 2 * first, constants)
    third = _motion(t + step / 2, state + step / 2 * second, constants)
    fourth = _motion(t + step, state + step * third, constants)
    return state + step / 6 * (first + 2 * second + 2 * third + fourth)


def _motion(t: Numbers, state: Numbers, constants: dict[str, Numbers]) -> Numbers:
    """Velocity and acceleration (N, 2) at times (N, 1): all systems in one equation."""
    x, velocity = state.T
    zero = np.zeros_like(x)
    damping, stiffness, cubic, growth, force, speed = (
        constants.get(name, zero)
        for name in ("damping", "stiffness", "cubic", "growth", "force", "speed")
    )
    drive = force * np.cos(speed * t[:, 0]) + growth * (1 - x**2) * velocity
    return np.stack([velocity, drive - damping * velocity - stiffness * x - cubic * x**3], axis=1)


@cache
def _drawn(systems: tuple[str, ...], count: int, length: int, seed: int) -> tuple[Numbers, Numbers]:
    """Times and positions (N, T); numpy froze the stream of its `RandomState`."""
    draw = np.random.RandomState(seed)
    whose = np.arange(count) % len(systems)
    ranges = [CONSTANTS[systems[k]] for k in whose]
    constants = {
        name: np.array([draw.uniform(*own.get(name, (0.0, 0.0))) for own in ranges])
        for name in ("damping", "stiffness", "cubic", "growth", "force", "speed")
    }
    gaps = draw.uniform(*GAPS, (count, length))
    times = np.cumsum(gaps, axis=1) - gaps[:, :1]
    return times, solution(times, draw.uniform(-2, 2, (count, 2)), constants)
