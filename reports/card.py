"""A card: one thing to see, with the numbers behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    import altair as alt

    Chart = alt.Chart | alt.LayerChart | alt.FacetChart | alt.ConcatChart | alt.VConcatChart
else:
    Chart = Any


@dataclass(frozen=True, eq=False)
class Card:
    """One thing to see.

    Attributes:
        title: what is shown.
        finding: what it says, in a sentence or two, from the numbers.
        frame: exactly the rows that the chart draws.
        chart: an altair chart, or None where there is nothing to draw.
        pictures: PNG files by what they show.
    """

    title: str
    finding: str
    frame: pd.DataFrame
    chart: Chart | None = None
    pictures: Mapping[str, bytes] = field(default_factory=dict)
