"""How numbers and counts are written, everywhere in the report the same."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from statistics import median

NONE = "–"
NOISE = 1e-12  # what differences of equal numbers leave


def decimals(values: Iterable[float], widths: Iterable[float] = ()) -> int:
    """Decimals that suit a metric: three significant figures, more where intervals are narrow."""
    sizes = [abs(v) for v in values if math.isfinite(v) and v != 0]
    narrow = [w for w in widths if math.isfinite(w) and w > 0]
    shown = 3 - max(0, 1 + math.floor(math.log10(max(sizes)))) if max(sizes, default=0) >= 1 else 3
    if sizes and max(sizes) < 0.1:
        shown = 2 - math.floor(math.log10(max(sizes)))
    if narrow:  # the median: a control that hardly differs must not set all other numbers' figures
        shown = max(shown, math.ceil(-math.log10(median(narrow))))
    return min(max(shown, 0), 9)


def number(value: float, digits: int) -> str:
    """0.953; a missing value is a dash, a minus is a minus, and zero has none.

    A value that these decimals would show as zero, beside others of decades above it, is given by
    two figures: 0.00031, 2.4e−07. What is less than `NOISE` is zero.
    """
    if NOISE < abs(value) < 0.5 * 10**-digits:
        return significant(value, 2)
    return signed(value, digits).removeprefix("+")


def signed(value: float, digits: int) -> str:
    """+0.012, −0.012, and 0.000 without a sign."""
    if not math.isfinite(value):
        return NONE
    text = f"{value:+,.{digits}f}"
    return text.lstrip("+-") if float(text.replace(",", "")) == 0 else text.replace("-", "−")


def interval(low: float, high: float, digits: int) -> str:
    """[0.003, 0.021], or nothing where there is no interval."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    return f"[{number(low, digits)}, {number(high, digits)}]"


def significant(value: float, figures: int = 3) -> str:
    """A quantity of any size: 0.0123, 8,410, 1.2e-05."""
    if not math.isfinite(value):
        return NONE
    if value != 0 and not 1e-4 <= abs(value) < 1e7:
        return f"{value:.{figures - 1}e}".replace("-", "−")
    if abs(value) >= 10**figures or float(value).is_integer():
        return f"{value:,.0f}".replace("-", "−")
    return f"{value:.{figures}g}".replace("-", "−")


def probability(p: float) -> str:
    """0.031, <0.001."""
    if not math.isfinite(p):
        return NONE
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def seconds(value: float) -> str:
    """0.37 s, 4.2 s, 3 min 20 s, 2 h 05 min."""
    if not math.isfinite(value):
        return NONE
    if value < 60:
        return f"{value:#.2g} s" if value < 10 else f"{value:.0f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes_left = divmod(minutes, 60)
    return f"{hours} h {minutes_left:02d} min" if hours else f"{minutes} min {rest:02d} s"


def plural(n: int, noun: str) -> str:
    """1 seed, 5 seeds."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def listing(items: Iterable[str]) -> str:
    """a; a and b; a, b and c."""
    *first, last = list(items)
    return f"{', '.join(first)} and {last}" if first else last


def plain(value: object) -> str:
    """A parameter's value as people write it."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return significant(value)
    return str(value)


_WORDS = {
    "nfe": "function evaluations",
    "nfe_forward": "function evaluations, forward",
    "nfe_backward": "function evaluations, backward",
    "gradient_norm_hidden": "gradient by the hidden state",
    "gradient_norm_velocity": "gradient by the velocity",
}


def titled(name: str) -> str:
    """A metric's name in words: `after_adjoint_norm` is "adjoint norm, after training"."""
    when, _, rest = name.partition("_")
    if when in ("before", "after") and rest:
        return f"{titled(rest)}, {when} training"
    return _WORDS.get(name, re.sub(r"_layer(\d+)$", r", layer \1", name).replace("_", " "))
