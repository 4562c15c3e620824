"""What a network tells about itself reaches the metrics, and changes nothing."""

import pytest
import torch
from torch import nn

from momentune.models import LSTM, Digits, SequenceClassifier, Task, build, fit
from momentune.models.insight import diagnostics, readings


class Counting(nn.Module):
    """Counts its calls, in training and in evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return x

    def readings(self) -> dict[str, float]:
        """Calls since it was asked last."""
        calls, self.calls = self.calls, 0
        return {"calls": calls}


class Watched(SequenceClassifier):
    """A classifier that draws random numbers and leaves a gradient when it looks into itself."""

    def __init__(self) -> None:
        super().__init__(LSTM(1, 4, batch_first=True), 10)
        self.inner = Counting()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(self.inner(x))

    def diagnostics(self, task: Task) -> dict[str, list[float]]:
        torch.rand(3)
        first = next(self.parameters())
        first.sum().backward()
        return {"weight": first.detach().flatten().tolist()}


def run(network: nn.Module, **options):
    return list(fit(network, Digits(), lr=0.01, epochs=2, seed=0, batch_size=256, **options))


def test_readings_are_those_of_the_epochs_training_alone():
    assert [report["calls"] for report in run(build(Watched, 0))] == [5, 5]  # 1,085 / 256


def test_the_outermost_module_speaks_and_equal_names_are_numbered():
    class Outer(nn.Sequential):
        def readings(self) -> dict[str, float]:
            return {"calls": -1.0}

    assert readings(nn.Sequential(Counting(), Outer(Counting()), Counting())) == {
        "calls": 0,
        "calls_2": -1.0,
        "calls_3": 0,
    }


@pytest.mark.parametrize("test", [True, False])
def test_diagnostics_are_made_before_and_after_a_confirmed_training_only(test):
    first, last = run(network := build(Watched, 0), test=test)
    assert ("before_weight" in first, "after_weight" in last) == (test, test)
    assert "after_weight" not in first
    assert "before_weight" not in last
    if test:
        initial = build(Watched, 0)
        assert first["before_weight"] == next(initial.parameters()).flatten().tolist()
        assert last["after_weight"] == next(network.parameters()).flatten().tolist()


def test_looking_changes_no_number_of_the_training():
    def numbers(test: bool) -> list[float]:
        return [report["train_loss"] for report in run(build(Watched, 0), test=test)]

    assert numbers(True) == numbers(False)


def test_looking_leaves_no_gradient():
    network = build(Watched, 0)
    diagnostics(network, Digits())
    assert all(weight.grad is None for weight in network.parameters())


def test_series_survive_a_resumption(tmp_path):
    place = tmp_path / "trial.pt"
    whole = run(build(Watched, 0), test=True)
    begun = fit(
        build(Watched, 0),
        Digits(),
        lr=0.01,
        epochs=2,
        seed=0,
        batch_size=256,
        test=True,
        checkpoint=place,
    )
    assert next(begun)["before_weight"] == whole[0]["before_weight"]
    begun.close()
    resumed = run(build(Watched, 0), test=True, checkpoint=place)
    for one, other in zip(whole, resumed, strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}
