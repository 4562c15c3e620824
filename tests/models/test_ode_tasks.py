"""Laws of the tasks for neural ODEs: known solutions, separate splits, honest descriptions."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from momentune.models import (
    CIFAR10,
    Adding,
    Copying,
    Digits,
    ListOps,
    NestedSpheres,
    Oscillators,
    Silverbox,
    Task,
    Vibration,
    digits_image,
)
from momentune.models.tasks.forecasting import Forecasting
from momentune.models.tasks.oscillators import SYSTEMS, _drawn, solution

TASKS = [NestedSpheres(), Oscillators(train=16, held_out=8), digits_image()]
EACH = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)


@EACH
def test_splits_are_as_described_and_always_the_same(task: Task):
    again = task.train()
    for part in ("train", "validation", "test"):
        split = getattr(task, part)()
        assert len(split) == task.data[part]
        assert split.inputs.isfinite().all()
    assert torch.equal(task.train().inputs, again.inputs)
    assert len(str(task.data["sha256"])) == 64


@pytest.mark.parametrize(
    "task",
    [*TASKS, Adding(5, train=8), Copying(5, train=8), ListOps(12, train=8)],
    ids=lambda task: task.name,
)
def test_what_a_split_is_overwritten_with_stays_there(task: Task):
    before, data = task.train().inputs.clone(), task.data
    split = task.train()
    split.inputs.zero_()
    split.targets.zero_()
    assert torch.equal(task.train().inputs, before)
    assert task.data == data


@EACH
def test_no_sample_is_in_two_splits(task: Task):
    seen: set[bytes] = set()
    for part in ("train", "validation", "test"):
        rows = {row.numpy().tobytes() for row in getattr(task, part)().inputs}
        assert not rows & seen
        seen |= rows


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_points_lie_in_the_ball_or_in_the_shell(dimensions):
    split = NestedSpheres(dimensions, train=300).train()
    radii = split.inputs.norm(dim=1)
    inside = split.targets[:, 0] < 0
    assert inside.sum() == 100
    assert radii[inside].max() <= 0.5
    assert radii[~inside].min() >= 1.0
    assert radii.max() <= 1.5


def test_a_constant_answer_reaches_chance():
    task = NestedSpheres(test=999)
    split = task.test()
    best = split.targets.mean().expand_as(split.targets)
    assert task.metrics(best, split.targets)["loss"] == pytest.approx(task.chance)


class Linear(Forecasting):
    """Answers are a matrix times the inputs, and noise; nobody may ask for test data."""

    name, input_size, output_size, horizon, data = "linear", 2, 1, 2, {}

    def _series(self, part):
        draw = np.random.RandomState({"train": 1, "validation": 2}[part])
        inputs = draw.randn(400, 5, 2)
        matrix = np.random.RandomState(0).randn(10, 5)
        answers = inputs.reshape(400, 10) @ matrix + 0.1 * draw.randn(400, 5)
        return inputs.astype(np.float32), answers[..., None].astype(np.float32)


def test_the_linear_predictor_leaves_only_the_noise_of_what_is_linear():
    assert Linear().linear() == pytest.approx(0.01, rel=0.15)


# Oscillators


def constants(**given: float) -> dict[str, np.ndarray]:
    return {name: np.array([value]) for name, value in given.items()}


TIMES = np.array([[0.0, 0.5, 0.6, 1.1, 3.0, 3.5]])


def test_the_damped_oscillator_has_its_closed_form():
    damping, stiffness = 0.4, 4.0
    rate = np.sqrt(stiffness - damping**2 / 4)
    x, velocity = 1.5, -0.7
    found = solution(
        TIMES, np.array([[x, velocity]]), constants(damping=damping, stiffness=stiffness), 200
    )
    sine = (velocity + damping / 2 * x) / rate
    want = np.exp(-damping / 2 * TIMES) * (x * np.cos(rate * TIMES) + sine * np.sin(rate * TIMES))
    np.testing.assert_allclose(found, want, atol=1e-8)


def test_the_forced_oscillator_has_its_closed_form():
    """Undamped, from rest: F/(w^2 - W^2) (cos W t - cos w t)."""
    found = solution(TIMES, np.zeros((1, 2)), constants(stiffness=4.0, force=1.5, speed=1.0), 200)
    np.testing.assert_allclose(found, 1.5 / 3 * (np.cos(TIMES) - np.cos(2 * TIMES)), atol=1e-8)


@pytest.mark.parametrize(
    "given",
    [
        {"stiffness": -1.0, "cubic": 1.0, "damping": 0.3, "force": 0.5, "speed": 1.2},
        {"stiffness": 1.0, "growth": 2.0},
    ],
    ids=["duffing", "van_der_pol"],
)
def test_nonlinear_oscillators_agree_with_a_high_order_solver(given):
    def motion(t, state):
        x, velocity = state
        own = {name: given.get(name, 0.0) for name in ("damping", "cubic", "growth", "force")}
        drive = own["force"] * np.cos(given.get("speed", 0.0) * t)
        drive += own["growth"] * (1 - x**2) * velocity
        return velocity, drive - own["damping"] * velocity - given["stiffness"] * x - own[
            "cubic"
        ] * x**3

    found = solution(TIMES, np.array([[1.0, 0.5]]), constants(**given))
    want = solve_ivp(motion, (0, 3.5), (1.0, 0.5), "DOP853", TIMES[0], rtol=1e-12, atol=1e-12).y[0]
    np.testing.assert_allclose(found[0], want, atol=1e-5)


@pytest.mark.parametrize("system", SYSTEMS)
def test_half_the_step_leaves_the_series_as_they_are(system):
    task = Oscillators(system, train=8, held_out=8)
    times, positions = _drawn(task.systems, 8, 33, 0)
    assert np.isfinite(positions).all()
    coarse = np.abs(positions).max()
    assert 0.5 < coarse < 20
    assert (np.diff(times) > 0).all()


def test_the_forecast_begins_after_the_last_observation():
    split = Oscillators(length=10, horizon=4, train=8, held_out=8).train()
    seen = split.inputs[..., 1]
    assert seen[:, :7].all()
    assert not seen[:, 7:].any()
    assert not split.inputs[:, 7:, 0].any()
    assert torch.equal(split.inputs[:, 1:7, 0], split.targets[:, :6, 0])


def test_noise_is_not_drawn_from_the_stream_of_the_positions():
    """The same seed would give the same numbers again."""
    clean, noisy = (Oscillators("damped", train=8, held_out=8, noise=n) for n in (0.0, 1.0))
    noise = (noisy._series("train")[0] - clean._series("train")[0])[..., 0]
    again = np.random.RandomState(0).standard_normal((8, 33))[:, :-1]
    seen = noise[:, :-8]
    assert abs(np.corrcoef(seen.ravel(), again[:, :-8].ravel())[0, 1]) < 0.2


def test_noise_is_in_what_is_seen_and_not_in_the_answers():
    clean, noisy = (Oscillators(train=8, held_out=8, noise=level).train() for level in (0.0, 0.1))
    assert torch.equal(clean.targets, noisy.targets)
    seen = clean.inputs[..., 1] == 1
    assert not torch.equal(clean.inputs, noisy.inputs)
    assert torch.equal(clean.inputs[~seen], noisy.inputs[~seen])


def test_the_forecast_decides_and_the_rest_counts_a_tenth():
    task = Oscillators(length=10, horizon=4, train=8, held_out=8)
    target = torch.zeros(2, 10, 1)
    early, late = target.clone(), target.clone()
    early[:, :6], late[:, 6:] = 1.0, 1.0
    assert task.metrics(early, target) == pytest.approx(
        {"loss": 0.1, "forecast": 0.0, "one_step": 1.0}
    )
    assert task.metrics(late, target) == pytest.approx(
        {"loss": 1.0, "forecast": 1.0, "one_step": 0.0}
    )


def test_images_are_the_sequences_of_the_other_task():
    images, sequences = digits_image().train(), Digits().train()
    assert images.inputs.shape == (1085, 1, 8, 8)
    assert torch.equal(images.inputs.flatten(1), sequences.inputs.flatten(1))
    assert torch.equal(images.targets, sequences.targets)


# Data that the user brings


def needs(name: str):
    folder = os.environ.get("MOMENTUNE_DATA")
    there = folder is not None and (Path(folder) / name).is_file()
    return pytest.mark.skipif(not there, reason=f"needs {name} in the folder MOMENTUNE_DATA")


@needs("pv.csv")
def test_vibration_has_the_papers_sequences():
    data = Vibration().data
    assert [data[part] for part in ("train", "validation", "test")] == [509, 254, 254]
    split = Vibration().train()
    assert split.inputs.shape == (509, 71, 7)
    assert split.inputs[:, :64, 5].all()
    assert not split.inputs[:, 64:, 5].any()
    assert split.inputs[..., -1].min() == 1
    assert split.inputs[:, :64, -1].max() > 1
    assert (split.inputs[:, 64:, -1] == 1).all()
    assert split.targets.std().item() == pytest.approx(1, abs=0.05)


@needs("pv.csv")
@pytest.mark.parametrize(("length", "samples"), [(16, 100), (64, 254)])
def test_vibration_can_be_shorter_and_fewer(length, samples):
    split = Vibration(length, 4, samples).validation()
    assert split.inputs.shape == (samples, length + 3, 7)


@needs("sb.csv")
def test_silverbox_hides_its_output_and_never_its_input():
    split = Silverbox(length=16, horizon=8, samples=50).train()
    voltage, output, known = split.inputs[..., 0], split.inputs[..., 1], split.inputs[..., 2]
    assert known[:, :9].all()
    assert not known[:, 9:].any()
    assert not output[:, 9:].any()
    assert voltage[:, 9:].std() > 0.5
    assert torch.equal(output[:, 1:9], split.targets[:, :8, 0])


@needs("cifar10_jpeg_12k.npz")
def test_cifar10_has_as_many_images_of_each_class():
    pytest.importorskip("PIL")
    task = CIFAR10(side=8, samples=100)
    for part in ("train", "validation", "test"):
        split = getattr(task, part)()
        assert split.inputs.shape == (100, 3, 8, 8)
        assert split.targets.bincount().tolist() == [10] * 10
    assert "as JPEG" in task.data["name"]


@pytest.mark.parametrize("task", [Vibration(), Silverbox(), CIFAR10()], ids=lambda task: task.name)
def test_missing_data_are_told_with_where_they_are_found(task, tmp_path, monkeypatch):
    monkeypatch.setenv("MOMENTUNE_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"https://.*MOMENTUNE_DATA|MOMENTUNE_DATA.*https"):
        task.train()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Vibration(length=1), "length must be at least 2"),
        (lambda: Silverbox(length=8, horizon=8), "horizon must be below length, got 8 of 8"),
        (lambda: CIFAR10(side=5), "side must be 32, 16, 8 or 4, got 5"),
        (lambda: CIFAR10(samples=3), "at least one of each class, got 3"),
        (lambda: NestedSpheres(0), "dimensions must be at least 1"),
        (lambda: NestedSpheres(train=2), "every split at least 3 points"),
        (lambda: Oscillators("pendulum"), "no system 'pendulum'; there are damped, forced"),
        (lambda: Oscillators(length=4, horizon=4), "horizon must be from 1 to below length"),
        (lambda: Oscillators(train=3), "at least 4, got 3 and 128"),
        (lambda: Oscillators(noise=-0.1), "noise must be at least 0, got -0.1"),
    ],
)
def test_sizes_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
