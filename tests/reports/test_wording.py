"""How numbers are written."""

from __future__ import annotations

import math

import pytest

from momentune.reports.wording import (
    decimals,
    interval,
    listing,
    number,
    plain,
    plural,
    probability,
    seconds,
    signed,
    significant,
    titled,
)


@pytest.mark.parametrize(
    ("values", "widths", "expected"),
    [
        ([0.953, 0.941], [0.009], 3),
        ([0.953], [0.0002], 4),
        ([12.34], [], 1),
        ([123.4], [], 0),
        ([123.4], [0.02], 2),
        ([1.5], [], 2),
        ([0.00123], [], 5),
        ([], [], 3),
        ([math.nan, 0.0], [math.nan], 3),
        ([1e-30], [], 9),
        ([0.95, 0.91], [0.02, 0.03, 0.0004], 3),  # the usual width counts, not the narrowest
    ],
)
def test_decimals_suit_the_metric(values: list[float], widths: list[float], expected: int) -> None:
    assert decimals(values, widths) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (number(0.9534, 3), "0.953"),
        (number(-1234.5, 1), "−1,234.5"),
        (signed(-0.0004, 3), "0.000"),
        (number(-0.0004, 3), "−0.0004"),
        (number(0.00003456, 3), "3.5e−05"),
        (number(-3e-17, 3), "0.000"),
        (interval(0.00002, 0.31, 2), "[2.0e−05, 0.31]"),
        (number(math.nan, 3), "–"),
        (signed(0.0123, 3), "+0.012"),
        (signed(-0.0123, 3), "−0.012"),
        (signed(-0.0001, 3), "0.000"),
        (signed(math.nan, 3), "–"),
        (interval(-0.003, 0.021, 3), "[−0.003, 0.021]"),
        (interval(math.nan, 1.0, 3), ""),
        (significant(8410), "8,410"),
        (significant(0.0), "0"),
        (significant(0.012345), "0.0123"),
        (significant(-0.00001), "−1.00e−05"),
        (significant(1234.5678), "1,235"),
        (significant(math.inf), "–"),
        (probability(0.0304), "0.030"),
        (probability(0.0002), "<0.001"),
        (probability(math.nan), "–"),
        (seconds(0.374), "0.37 s"),
        (seconds(0.06), "0.060 s"),
        (seconds(42.2), "42 s"),
        (seconds(200), "3 min 20 s"),
        (seconds(7500), "2 h 05 min"),
        (seconds(math.nan), "–"),
        (plural(1, "seed"), "1 seed"),
        (plural(1200, "seed"), "1,200 seeds"),
        (listing(["a", "b", "c"]), "a, b and c"),
        (plain(True), "True"),
        (plain("adam"), "adam"),
        (plain(0.25), "0.25"),
        (titled("validation_loss"), "validation loss"),
        (titled("nfe_forward"), "function evaluations, forward"),
        (titled("after_adjoint_norm"), "adjoint norm, after training"),
        (titled("after"), "after"),
    ],
)
def test_numbers_read_well(written: str, expected: str) -> None:
    assert written == expected
