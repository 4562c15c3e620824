"""Spaces: what may vary, and who competes. One training each; knows nothing of sweeps."""

from .catalogue import CATALOGUE, catalogued
from .checks import SpaceError, check
from .loading import Loaded, load
from .parameters import Choice, Float, Int, describe, middle, repeated
from .space import SCALES, Control, Metrics, Published, Scale, Space, Variant

__all__ = [
    "CATALOGUE",
    "SCALES",
    "Choice",
    "Control",
    "Float",
    "Int",
    "Loaded",
    "Metrics",
    "Published",
    "Scale",
    "Space",
    "SpaceError",
    "Variant",
    "catalogued",
    "check",
    "describe",
    "load",
    "middle",
    "repeated",
]
