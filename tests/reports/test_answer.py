"""The words of the answer, for every case that the numbers can make."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from momentune.reports import answer, concerns, load_run
from momentune.reports.answer import described

from .conftest import LSTM, MOMENTUM

BASE = [0.900, 0.910, 0.920, 0.930, 0.940]
SPREAD = [0.001, -0.001, 0.0, 0.002, -0.002]


def shifted(gain: float, noise: float = 1.0, seeds: int = 5) -> list[float]:
    return [b + gain + noise * e for b, e in zip(BASE, SPREAD, strict=True)][:seeds]


def told(made: Any) -> str:
    return answer(load_run(made.path)).text


def settled(made: Any, gain: float | None, control: float | None, noise: float = 1.0) -> str:
    """The answer of a run in which variant and control gain this much over the baseline."""
    made.tested("lstm", BASE)
    if gain is not None:
        made.tested("momentum_lstm", shifted(gain, noise))
    if control is not None:
        made.tested("momentum_lstm", shifted(control, -noise), control="no_momentum")
    return told(made)


CASES = {
    "momentum helps": (0.020, 0.0, 1, [
        "momentum_lstm is better than lstm: test accuracy 0.940 against 0.920, "
        "gain +0.020 [0.018, 0.022], 5 seeds.",
        "The gain is due to momentum: momentum_lstm also beats its control no_momentum "
        "(momentum = 0, everything else the same), gain +0.020 [0.016, 0.024], 5 seeds.",
    ]),
    "both momentum and step help": (0.030, 0.010, 1, [
        "momentum_lstm is better than lstm",
        "Part of the gain is due to momentum: momentum_lstm also beats its control",
        "The control itself beats lstm, gain +0.010 [0.008, 0.012], 5 seeds: this part comes "
        "from the rest of momentum_lstm (step).",
    ]),
    "the step size alone helps": (0.020, 0.020, 1, [
        "momentum_lstm is better than lstm",
        "The gain is not mainly due to momentum: its control no_momentum (momentum = 0, everything "
        "else the same) keeps more than half of it (equivalence test, p = 0.002), difference 0.000 "
        "[−0.004, 0.004], 5 seeds.",
        "this part comes from the rest of momentum_lstm (step)",
    ]),
    "whether the control does as well is open": (0.020, 0.016, 4, [
        "momentum_lstm is better than lstm",
        "The gain cannot be credited to momentum on this evidence: whether its control no_momentum "
        "(momentum = 0, everything else the same) does as well is open, difference +0.004",
    ]),
    "momentum takes some away": (0.020, 0.030, 1, [
        "momentum_lstm is better than lstm",
        "The gain is not due to momentum, which takes some of it away: its control no_momentum "
        "(momentum = 0, everything else the same) is better still, difference −0.010",
    ]),
    "nothing helps": (0.001, 0.000, 20, [
        "There is not enough evidence that momentum_lstm differs from lstm: test accuracy 0.921 "
        "against 0.920, gain +0.001 [−0.038, 0.040], 5 seeds.",
        "No effect of momentum was shown either: against its control",
    ]),
    "a variant and its control are as bad": (-0.030, -0.030, 1, [
        "momentum_lstm is worse than lstm: test accuracy 0.890 against 0.920, gain −0.030",
        "No effect of momentum was shown either: against its control",
        "The control itself is worse than lstm, gain −0.030 [−0.032, −0.028], 5 seeds: that "
        "momentum_lstm is worse is not shown to be due to momentum.",
    ]),
    "momentum helps a variant that is worse": (-0.010, -0.030, 1, [
        "momentum_lstm is worse than lstm: test accuracy 0.910 against 0.920, gain −0.010",
        "Momentum does help: against its control",
        "The control itself is worse than lstm, gain −0.030",
    ]),
    "momentum harms": (-0.020, 0.0, 1, [
        "momentum_lstm is worse than lstm",
        "Momentum does harm: its control no_momentum (momentum = 0, everything else the same) is "
        "better, difference −0.020",
    ]),
    "the control is missing": (0.020, None, 1, [
        "momentum_lstm is better than lstm",
        "Whether momentum matters is open: its control no_momentum (momentum = 0, everything else "
        "the same) has no result.",
    ]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_cause(writer: Any, case: str) -> None:
    gain, control, noise, sentences = CASES[case]
    text = settled(writer(), gain, control, noise)
    assert [s for s in sentences if s not in text] == []


def test_a_difference_that_only_holm_leaves_open_is_told_so(writer: Any, momentum: Any) -> None:
    """Three controls: an interval that leaves out zero is no verdict, and the reader sees why."""
    momentum["controls"] |= {name: {"step": 1.0} for name in ("unit_step", "other_step")}
    made = writer(LSTM, momentum)
    made.tested("lstm", BASE)
    made.tested("momentum_lstm", shifted(0.015))
    made.tested("momentum_lstm", shifted(0.0035, -4.0), control="no_momentum")
    for control in ("unit_step", "other_step"):
        made.tested("momentum_lstm", shifted(0.015, -4.0), control=control)
    text = told(made)
    assert "momentum_lstm is better than lstm" in text
    assert (
        "The gain cannot be credited to momentum on this evidence: against its control no_momentum "
        "(momentum = 0, everything else the same) the difference is +0.012 [0.002, 0.021], 5 "
        "seeds, whose interval leaves out zero, but not after Holm's correction (p = 0."
    ) in text


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_words_follow_the_direction(writer: Any, direction: str) -> None:
    made = writer(space_direction=direction, space_metric="loss")
    sign = 1 if direction == "maximize" else -1
    text = settled(made, sign * 0.02, 0.0)
    assert "momentum_lstm is better than lstm: test loss" in text
    assert "gain +0.020 [0.018, 0.022], 5 seeds" in text


def test_cost_in_time_size_and_epochs(writer: Any) -> None:
    made = writer()
    made.tested("lstm", BASE, cost=0.2, size=8290)
    made.tested("momentum_lstm", shifted(0.02), cost=0.5, size=8410)
    assert (
        "Cost against lstm: one epoch takes 2.50 times as long (0.53 s against 0.21 s) and it has "
        "120 more parameters (8,410 against 8,290). momentum_lstm reaches lstm's best validation "
        "accuracy at epoch 2, lstm at epoch 3."
    ) in told(made)


def test_a_variant_that_never_gets_there_says_so(writer: Any) -> None:
    text = settled(writer(), -0.05, None)
    assert "momentum_lstm never reaches lstm's best validation accuracy (that of epoch 3)." in text


@pytest.mark.parametrize(("seeds", "words"), [(1, "With 1 seed in common"), (0, "No result")])
def test_too_few_seeds_give_no_interval(writer: Any, seeds: int, words: str) -> None:
    made = writer(seeds=1)
    made.tested("lstm", BASE[:1])
    made.tested("momentum_lstm", shifted(0.02, seeds=seeds))
    text = told(made)
    assert words in text
    assert "[" not in text


def test_the_same_difference_on_every_seed_gives_no_interval(writer: Any) -> None:
    text = settled(writer(), 0.02, None, noise=0.0)
    assert "not enough evidence that momentum_lstm differs" in text
    assert "Every seed gave the same difference" in text


def test_what_holm_takes_back_is_told(writer: Any) -> None:
    others = [MOMENTUM | {"name": name} for name in ("momentum_lstm", "second", "third")]
    made = writer(LSTM, *others)
    made.tested("lstm", BASE)
    for other in others:
        made.tested(other["name"], shifted(0.0021))
    text = told(made)
    assert "not enough evidence that momentum_lstm differs" in text
    assert "not after Holm's correction for 3 comparisons with lstm (p = 0." in text


def test_a_control_does_not_make_the_variants_harder_to_tell_apart(writer: Any) -> None:
    assert "momentum_lstm is better than lstm" in settled(writer(), 0.0021, 0.0)


def test_several_variants_are_told_in_short_first(writer: Any) -> None:
    others = [MOMENTUM | {"name": name} for name in ("good", "bad", "same")]
    made = writer(LSTM, *others)
    made.tested("lstm", BASE)
    for name, gain, noise in (("good", 0.02, 1), ("bad", -0.02, -1), ("same", 0.0, 5)):
        made.tested(name, shifted(gain, noise))
    assert answer(load_run(made.path)).summary == (
        "good is better than lstm, bad is worse than lstm; not enough evidence on same. The best "
        "mean is that of good, test accuracy 0.940, which by itself is no verdict."
    )


def test_the_best_of_two_better_ones_is_held_against_the_second(writer: Any) -> None:
    made = writer(LSTM, *[MOMENTUM | {"name": name} for name in ("good", "best")])
    for name, gain, noise in (("lstm", 0.0, 0), ("good", 0.02, 1), ("best", 0.021, -1)):
        made.tested(name, shifted(gain, noise))
    assert answer(load_run(made.path)).summary == (
        "good and best are better than lstm. The best mean is that of best, test accuracy 0.941; "
        "there is not enough evidence that it differs from good, the second best: "
        "gain +0.001 [−0.003, 0.005], 5 seeds (paired t-test, p = 0.519)."
    )


@pytest.mark.parametrize("broken", ["lstm", "momentum_lstm"])
def test_a_seed_that_failed_on_one_side_leaves_no_verdict(writer: Any, broken: str) -> None:
    """Survivors only would be better; the means are over the seeds that both have."""
    made = writer()
    for name, gain, noise in (("lstm", 0.0, 0), ("momentum_lstm", 0.02, 1)):
        made.tested(name, shifted(gain, noise, seeds=4 if name == broken else 5))
    made.trial(broken, "confirm", seed=104, state="FAIL", reason="diverged")
    finding = answer(load_run(made.path)).findings[0]
    assert finding.verdict == "not enough evidence"
    assert finding.headline.startswith(
        "Whether momentum_lstm differs from lstm is open: 1 of 5 seeds has no result, so no "
        "verdict: test accuracy 0.935 against 0.915, gain +0.021 ["
    )


def test_a_control_that_lost_seeds_explains_nothing(writer: Any) -> None:
    made = writer()
    made.tested("momentum_lstm", shifted(0.0, -1.0, seeds=4), control="no_momentum")
    made.trial(
        "momentum_lstm", "confirm", control="no_momentum", seed=104, state="FAIL", reason="oom"
    )
    text = settled(made, 0.02, None)
    assert "momentum_lstm is better than lstm" in text
    assert "Whether momentum matters is open: with its control no_momentum" in text
    assert "1 of 5 seeds has no result, so no verdict." in text


def test_an_effect_that_holm_takes_back_is_not_called_none(writer: Any) -> None:
    others = [MOMENTUM | {"name": name} for name in ("good", "bad", "same")]
    made = writer(LSTM, *others)
    made.tested("lstm", BASE)
    for other in others:
        made.tested(other["name"], BASE)
        made.tested(other["name"], shifted(-0.0021), control="no_momentum")
    assert "Momentum may matter: against its control no_momentum" in told(made)


def test_one_variant_alone_needs_no_summary(writer: Any) -> None:
    made = writer()
    settled(made, 0.02, 0.0)
    assert answer(load_run(made.path)).summary == ""


def test_a_variant_that_failed_says_how(writer: Any) -> None:
    made = writer()
    for _ in range(12):
        made.trial("momentum_lstm", curve=[math.nan], state="FAIL", reason="diverged")
    made.tested("lstm", BASE)
    found = answer(load_run(made.path)).findings[0]
    assert found.verdict == "no result"
    assert found.headline == (
        "No result for momentum_lstm: all 12 search trials failed (diverged 12)."
    )


def test_a_baseline_that_failed_leaves_nothing_to_compare_with(writer: Any) -> None:
    made = writer()
    made.trial("lstm", state="FAIL", reason="oom")
    made.trial("lstm", state="FAIL", reason="exception")
    made.tested("momentum_lstm", BASE)
    assert (
        "No result for momentum_lstm, because the baseline lstm has none: all 2 search trials "
        "failed (oom 1, exception 1)."
    ) in told(made)


def test_a_confirmation_that_failed_says_so(writer: Any) -> None:
    made = writer()
    made.trial("momentum_lstm", curve=[0.9])
    made.trial("momentum_lstm", "confirm", seed=100, state="FAIL", reason="timeout")
    made.tested("lstm", BASE)
    assert "No result for momentum_lstm: the only confirm trial failed (timeout 1)." in told(made)


def test_an_unfinished_sweep_says_how_far_it_is(writer: Any) -> None:
    made = writer()
    for _ in range(12):
        made.trial("lstm", curve=[0.9])
    made.trial("momentum_lstm", curve=[0.9], state="RUNNING")
    text = told(made)
    assert "The sweep is not finished: 12 of 39 planned trials are done." in text
    assert "No result for momentum_lstm: 0 search trials completed so far, none confirmed." in text


def test_a_finished_sweep_has_nothing_to_add(finished: Path) -> None:
    run = load_run(finished)
    assert answer(run).status == ""
    assert [told.split(" were")[0] for told in concerns(run)] == ["Function evaluations, forward"]


def test_a_baseline_alone_is_told_alone(writer: Any) -> None:
    made = writer({"name": "gru", "baseline": True, "parameters": {}, "controls": {}})
    made.tested("gru", BASE)
    text = told(made)
    assert "gru: test accuracy 0.920 [0.900, 0.940], 5 seeds; there is no other variant." in text


def test_a_space_without_a_question_still_asks_one(writer: Any) -> None:
    text = told(writer(space_question=""))
    assert text.startswith("How do lstm and momentum_lstm compare in accuracy?")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ({"momentum": 0.0}, "momentum = 0, everything else the same"),
        (
            {"a": 0.25, "b": "sgd", "c": True},
            "a = 0.25, b = sgd, c = True, everything else the same",
        ),
        ({"described": "half the width"}, "half the width"),
        ({}, "everything else the same"),
    ],
)
def test_a_control_in_words(override: dict[str, Any], words: str) -> None:
    assert described(override) == words


def test_a_control_that_is_computed_is_named(writer: Any, momentum: Any) -> None:
    momentum["controls"] = {"frozen": {"described": "velocity frozen at its start"}}
    made = writer({"name": "lstm", "baseline": True, "parameters": {}, "controls": {}}, momentum)
    made.tested("lstm", BASE)
    made.tested("momentum_lstm", shifted(0.02))
    made.tested("momentum_lstm", shifted(0.0, -1), control="frozen")
    assert (
        "The gain is due to what frozen switches off: momentum_lstm also beats its control frozen "
        "(velocity frozen at its start), gain +0.020"
    ) in told(made)


def test_what_a_control_is_without_is_told_by_its_name(writer: Any, momentum: Any) -> None:
    """Not by the setting that it sets: nobody asks for an effect of `divided`."""
    momentum["controls"] = {"no_division": {"divided": False}, "unit_step": {"step": 1.0}}
    made = writer({"name": "lstm", "baseline": True, "parameters": {}, "controls": {}}, momentum)
    made.tested("lstm", BASE)
    made.tested("momentum_lstm", BASE)
    for control in momentum["controls"]:
        made.tested("momentum_lstm", BASE, control=control)
    text = told(made)
    assert "No effect of division was shown either: against its control no_division (div" in text
    assert "No effect of step was shown either: against its control unit_step (step = 1" in text


@pytest.mark.parametrize("other", [0.02, None])
def test_a_gain_is_credited_only_when_every_control_is_beaten(
    writer: Any, momentum: Any, other: float | None
) -> None:
    momentum["controls"] |= {"same_gain": {"described": "no memory."}}
    made = writer({"name": "lstm", "baseline": True, "parameters": {}, "controls": {}}, momentum)
    if other is not None:
        made.tested("momentum_lstm", shifted(other, -1.0), control="same_gain")
    text = settled(made, 0.02, 0.0)
    assert "gain is due to" not in text
    assert (
        "Against its control no_momentum (momentum = 0, everything else the same) the gain is "
        "+0.020 [0.016, 0.024], 5 seeds; but it is credited only when every control is beaten."
    ) in text
    cannot, unknown = "not mainly due to what same_gain", "what same_gain switches off matters"
    assert (unknown if other is None else cannot) in text


def test_concerns_name_every_fault(writer: Any) -> None:
    made = writer(trials=2, seeds=2)
    made.trial("lstm", curve=[0.9])
    made.trial("lstm", curve=[0.9], state="PRUNED")
    made.trial("momentum_lstm", curve=[0.9])
    made.trial("momentum_lstm", curve=[math.nan], state="FAIL", reason="diverged")
    made.tested("lstm", BASE[:2])
    made.tested("momentum_lstm", BASE[:1])
    made.trial("momentum_lstm", "confirm", seed=101, state="FAIL", reason="oom")
    made.trial("momentum_lstm", "confirm", control="no_momentum", seed=100, state="RUNNING")
    assert concerns(load_run(made.path)) == [
        "8 of 10 planned trials are done, 1 more had started. If the sweep no longer runs, this "
        f"goes on from here: momentune resume {made.path}",
        "The searches did not have equal budgets: of 2 trials each, these finished or were "
        "pruned: lstm 2 and momentum_lstm 1. The variant with more had the better chance.",
        "momentum_lstm: 1 of 2 search trials failed (diverged 1).",
        "momentum_lstm: 1 of 2 confirm trials failed (oom 1).",
        "The numbers of momentum_lstm are over 1 of 2 seeds; those that failed might have been "
        "the worst.",
        "With 1 seed there is no interval; plan at least 3 (--seeds 5).",
    ]


def test_an_open_question_says_how_many_seeds_would_settle_it(writer: Any) -> None:
    text = settled(writer(), 0.001, None, noise=3)
    assert "To see an effect of this size with power 0.8 would take about" in text
    needed = int(text.split("about ")[1].split(" seeds")[0].replace(",", ""))
    assert f"{needed - 5:,} more" in text
    assert needed > 5


def test_a_verdict_asks_for_no_more_seeds(writer: Any) -> None:
    assert "would take about" not in settled(writer(), 0.020, 0.0)


@pytest.mark.parametrize("noise", [1.0, 8.5])
def test_a_control_that_only_the_correction_sets_apart_is_explained(
    writer: Any, momentum: Any, noise: float
) -> None:
    """Two variants are compared, one control: p = 0.03 is too much for the first alone."""
    other = {"name": "other", "baseline": False, "parameters": {}, "controls": {}}
    made = writer(LSTM, momentum, other)
    made.tested("other", shifted(0.0, 10.0))
    said = settled(made, 0.020, 0.020, noise)
    explained = (
        "Only Holm's correction, for 1 control and 2 variants, makes it better and leaves "
        "momentum_lstm open: before it p is 0.029 and 0.029."
    )
    assert (explained in said) == (noise == 8.5)
    assert "The control itself beats lstm" in said


def test_what_a_function_switches_off_is_not_named_as_the_rest(writer: Any, momentum: Any) -> None:
    controls = {"no_momentum": {"described": "Momentum stays where it starts."}}
    made = writer(LSTM, {**momentum, "controls": controls})
    said = settled(made, 0.030, 0.010)
    assert "this part comes from the rest of momentum_lstm." in said


def test_the_second_metric_is_part_of_the_cost(writer: Any) -> None:
    made = writer(space_cost="nfe")
    for variant, nfe in (("lstm", 40.0), ("momentum_lstm", 60.0)):
        for seed, value in enumerate(BASE, start=100):
            number = made.trial(variant, "confirm", seed=seed, curve=[value], test=value)
            made.report(number, 2, nfe=nfe)
    assert "it takes 1.50 times the function evaluations (60 against 40)" in told(made)


def test_the_seeds_that_the_variant_lost_are_not_blamed_on_its_control(writer: Any) -> None:
    made = writer()
    made.tested("lstm", BASE)
    made.tested("momentum_lstm", shifted(0.02, seeds=1))
    for seed in range(101, 105):
        made.trial("momentum_lstm", "confirm", seed=seed, state="FAIL", reason="diverged")
    made.tested("momentum_lstm", BASE, control="no_momentum")
    text = told(made)
    assert "open: of momentum_lstm itself, 4 of 5 seeds have no result, so no verdict" in text
    assert "open: with its control" not in text


def test_an_effect_too_small_to_look_for_is_told(writer: Any) -> None:
    text = settled(writer(), 0.0001, None, noise=10.0)
    assert "To see an effect of this size would take more than 1,000 seeds." in text
