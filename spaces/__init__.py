"""Spaces: what may vary, and who competes. One training each; knows nothing of sweeps."""

from .catalogue import CATALOGUE, catalogued
from .checks import SpaceError, check
from .loading import Loaded, load
from .parameters import Choice, Float, Int, describe, middle
from .space import Control, Metrics, Space, Variant

__all__ = [
    "CATALOGUE",
    "Choice",
    "Control",
    "Float",
    "Int",
    "Loaded",
    "Metrics",
    "Space",
    "SpaceError",
    "Variant",
    "catalogued",
    "check",
    "describe",
    "load",
    "middle",
]
