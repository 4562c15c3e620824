"""A run that was interrupted ends as if it had not been."""

import multiprocessing
import signal
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import torch

from momentune.models import (
    LSTM,
    Adding,
    NesterovDTRIV,
    NesterovLSTM,
    NesterovRNN,
    SequenceClassifier,
    build,
    fit,
)
from momentune.models import checkpoint as checkpoint_module

SETTINGS = {"lr": 0.02, "epochs": 5, "seed": 7, "batch_size": 10, "device": "cpu"}


def untimed(reports) -> list[dict[str, float]]:
    return [{name: value for name, value in r.items() if name != "seconds"} for r in reports]


def take(run, epochs: int) -> list[dict[str, float]]:
    reports = [next(run) for _ in range(epochs)]
    run.close()
    return reports


@pytest.fixture
def every_epoch(monkeypatch):
    """Checkpoints after every epoch, whatever they cost."""
    monkeypatch.setattr(checkpoint_module, "PACE", 0)


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "trial" / "state.pt"


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
@pytest.mark.parametrize("done", [1, 3, 5])
@pytest.mark.usefixtures("every_epoch")
def test_a_resumed_run_goes_on_bit_for_bit(network, task, path, done, optimizer):
    settings = SETTINGS | {"optimizer": optimizer}
    whole_network, resumed_network = network(), network()
    whole = untimed(fit(whole_network, task, **settings))
    take(fit(network(), task, **settings, checkpoint=path), done)
    resumed = untimed(fit(resumed_network, task, **settings, checkpoint=path))
    assert resumed == whole[done - 1 :]
    for got, want in zip(resumed_network.parameters(), whole_network.parameters(), strict=True):
        assert torch.equal(got, want)


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.usefixtures("every_epoch")
def test_every_cell_goes_on_bit_for_bit(make, dynamics, recurrence, task, path, learned):
    """Dropout, learned coefficients and a renewed base among them."""
    settings = {"step": "learned"} if learned and dynamics else {}
    settings |= {"rebase": 2} if recurrence == "DTRIV" else {}

    def network() -> torch.nn.Module:
        return SequenceClassifier(make(1, 4, 2, dropout=0.2, **settings), 2).float()

    brief = SETTINGS | {"epochs": 3}
    whole = untimed(fit(network(), task, **brief))
    take(fit(network(), task, **brief, checkpoint=path), 1)
    assert untimed(fit(network(), task, **brief, checkpoint=path)) == whole


@pytest.mark.usefixtures("every_epoch")
def test_an_epoch_that_was_saved_but_never_heard_of_is_yielded_again(network, task, path):
    """Killed between the checkpoint of epoch 2 and its report, no number is lost."""
    *_, unheard = take(fit(network(), task, **SETTINGS, checkpoint=path), 2)
    assert next(fit(network(), task, **SETTINGS, checkpoint=path)) == unheard


def test_checkpoints_change_no_number(network, task, path):
    plain = untimed(fit(network(), task, **SETTINGS))
    assert untimed(fit(network(), task, **SETTINGS, checkpoint=path)) == plain


@pytest.mark.usefixtures("every_epoch")
def test_a_finished_run_yields_its_last_epoch_with_the_test_again(network, task, path):
    *_, last = fit(network(), task, **SETTINGS, test=True, checkpoint=path)
    assert list(fit(network(), task, **SETTINGS, test=True, checkpoint=path)) == [last]


@pytest.mark.usefixtures("every_epoch")
def test_a_finished_run_can_be_given_more_epochs(network, task, path):
    longer = SETTINGS | {"epochs": 8}
    whole = untimed(fit(network(), task, **longer))
    list(fit(network(), task, **SETTINGS, checkpoint=path))
    assert untimed(fit(network(), task, **longer, checkpoint=path)) == whole[4:]


@pytest.mark.usefixtures("every_epoch")
def test_a_run_cannot_be_given_fewer_epochs_than_it_has(network, task, path):
    list(fit(network(), task, **SETTINGS, checkpoint=path))
    with pytest.raises(ValueError, match="holds epoch 5 already, past epochs=3"):
        next(fit(network(), task, **SETTINGS | {"epochs": 3}, checkpoint=path))


def test_the_first_epoch_is_saved_and_the_next_only_when_it_costs_little(network, task, path):
    first, *_ = fit(network(), task, **SETTINGS, checkpoint=path)
    network = network()
    saved = checkpoint_module.Checkpoint(path, network, torch.optim.Adam(network.parameters()), {})
    saved.save(first)
    saved.save({"epoch": 2})
    assert saved.restore() == first


@pytest.mark.parametrize(
    "content", [b"", b"not a checkpoint", None], ids=["empty", "other", "torn"]
)
def test_an_unreadable_checkpoint_is_set_aside_and_training_starts_over(
    network, task, path, content
):
    plain = untimed(fit(network(), task, **SETTINGS))
    list(fit(network(), task, **SETTINGS, checkpoint=path))
    path.write_bytes(path.read_bytes()[:-500] if content is None else content)
    with pytest.warns(UserWarning, match="starts over.*cannot be read"):
        again = untimed(fit(network(), task, **SETTINGS, checkpoint=path))
    assert again == plain
    assert path.with_name("state.pt.rejected").exists()


@pytest.mark.parametrize("change", [{"lr": 0.01}, {"seed": 8}, {"optimizer": "sgd"}])
def test_a_checkpoint_of_other_settings_is_set_aside(network, task, path, change):
    list(fit(network(), task, **SETTINGS, checkpoint=path))
    with pytest.warns(UserWarning, match="other settings"):
        reports = untimed(fit(network(), task, **SETTINGS | change, checkpoint=path))
    assert reports == untimed(fit(network(), task, **SETTINGS | change))


def test_a_checkpoint_of_another_network_is_set_aside(network, task, path):
    list(fit(network(), task, **SETTINGS, checkpoint=path))
    other = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(8, 2))
    with pytest.warns(UserWarning, match="other settings"):
        assert next(fit(other, task, **SETTINGS, checkpoint=path))["epoch"] == 1


def test_a_checkpoint_of_other_data_is_set_aside(network, task, path, monkeypatch):
    """The same task by name."""
    list(fit(network(), task, **SETTINGS, checkpoint=path))
    other = task.data | {"sha256": "1" * 64}
    monkeypatch.setattr(type(task), "data", property(lambda _: other))
    with pytest.warns(UserWarning, match="other settings"):
        assert next(fit(network(), task, **SETTINGS, checkpoint=path))["epoch"] == 1


@pytest.mark.parametrize(
    ("cell", "change"),
    [
        (NesterovLSTM, {"drive_bias": "outside"}),
        (NesterovLSTM, {"restart": 3}),
        (NesterovLSTM, {"dropout": 0.5}),
        (NesterovRNN, {"nonlinearity": "relu"}),
        (NesterovDTRIV, {"orthogonal_map": "cayley"}),
        (NesterovDTRIV, {"orthogonal_lr": 0.5}),
        (NesterovDTRIV, {"dropout": 0.5}),
        (NesterovDTRIV, {"rebase": 5}),
    ],
)
def test_a_checkpoint_of_a_cell_with_other_settings_is_set_aside(task, path, cell, change):
    """The weights would fit: what differs is in the cell's repr alone."""

    def network(**changes) -> torch.nn.Module:
        return SequenceClassifier(cell(1, 4, 2, step=0.5, batch_first=True, **changes), 2)

    next(fit(network(), task, **SETTINGS, checkpoint=path))
    with pytest.warns(UserWarning, match="other settings"):
        next(fit(network(**change), task, **SETTINGS, checkpoint=path))


IMPORTED_ONCE = ["momentune.models", "torch._dynamo"]  # by all that train: seconds each


class Training:
    """A process that trains and tells its losses, one epoch after the other."""

    def __init__(self, path: Path | None) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(IMPORTED_ONCE)
        self.pipe, theirs = context.Pipe(duplex=False)
        self.process = context.Process(target=train, args=(theirs, path))
        self.process.start()
        theirs.close()

    def heard(self) -> Iterator[tuple[int, float, float]]:
        with suppress(EOFError, OSError):  # the end, or a message that the kill has torn
            while True:
                yield self.pipe.recv()


def train(pipe: Connection, path: Path | None) -> None:
    torch.set_num_threads(1)
    checkpoint_module.PACE = 0
    network = build(lambda: SequenceClassifier(LSTM(2, 4, batch_first=True), 1), seed=1)
    task = Adding(10, train=200, held_out=20)
    for report in fit(network, task, **SETTINGS | {"epochs": 60}, checkpoint=path):
        pipe.send((report["epoch"], report["train_loss"], report["validation_loss"]))


def test_a_run_killed_again_and_again_reports_what_a_whole_one_does(path, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2])  # where the processes find `train`
    reports = set()
    for epochs in (3, 10):
        victim = Training(path)
        reports |= set(islice(victim.heard(), epochs))
        victim.process.kill()
        reports |= set(victim.heard())
        victim.process.join()
        assert victim.process.exitcode == -signal.SIGKILL
    for place in (path, None):
        reports |= set(Training(place).heard())
    assert sorted(epoch for epoch, *_ in reports) == list(range(1, 61))
