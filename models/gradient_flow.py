r"""How gradients flow back through time: $\|dL/dh_t\|$ and $\|dL/dv_t\|$ at each time step t.

Momentum's promise is that a gradient reaches far back along the velocity where it vanishes along h
(Nguyen et al., "MomentumRNN", NeurIPS 2020, section 2; Wang et al. 2022).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .cell import RecurrentCell
from .tasks import Task

if TYPE_CHECKING:
    from .classifier import SequenceReader

SEQUENCES = 64  # of the validation split: the same at every call


def gradient_flow(network: SequenceReader, task: Task) -> dict[str, list[float]]:
    """Norms over batch, layers and units of the loss's gradient at each time step.

    Args:
        network: what reads sequences by a cell of this package.
        task: its first validation sequences are taken, and its loss; where every step is answered,
            the loss of the last answer alone, or each step's own would hide what flows back.

    Returns:
        `gradient_norm_hidden` by h_t, and, where the cell has a velocity, `gradient_norm_velocity`
        by v_t in the drive's coordinates; each all the way, through later time steps too. The
        passes are those of a plain loop in evaluation mode; no parameter's `grad` changes. The last
        time step is that of the answer.

    Raises:
        TypeError: the cell is not of this package.
    """
    cell = network.cell
    if not isinstance(cell, RecurrentCell):
        raise TypeError(f"gradients flow through a RecurrentCell, got {type(cell).__name__}")
    device = next(network.parameters()).device
    inputs, targets = next(task.validation().to(device).batches(SEQUENCES))
    with evaluating(network), torch.enable_grad():
        traces = cell.unrolled(network.embedded(inputs).transpose(0, 1))
        outputs = torch.stack(traces[-1].h, dim=1)
        loss, length = _last_loss(task, network.answers(outputs), targets)
    shown = {"gradient_norm_hidden": _norms(loss, [trace.h[:length] for trace in traces])}
    if traces[0].v:
        shown["gradient_norm_velocity"] = _norms(loss, [trace.v[:length] for trace in traces])
    return shown


def _last_loss(task: Task, answers: Tensor, targets: Tensor) -> tuple[Tensor, int | None]:
    """The loss of the last answer that is asked for, and how many time steps lead to it."""
    if answers.dim() < 3:  # one answer to the whole sequence
        return task.loss(answers, targets), None
    for length in range(answers.shape[1], 0, -1):
        last = slice(length - 1, length)
        loss = task.loss(answers[:, last], targets[:, last])
        if loss.isfinite():  # what is padded has none
            return loss, length
    return task.loss(answers, targets), None


@contextmanager
def evaluating(network: torch.nn.Module) -> Iterator[None]:
    """In evaluation mode, and then every module in its own again."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def _norms(loss: Tensor, layers: list[list[Tensor]]) -> list[float]:
    """For each time step, the norm of the gradient by all layers' tensors."""
    length = len(layers[0])
    flat = [tensor for layer in layers for tensor in layer]
    gradients = torch.autograd.grad(
        loss, flat, retain_graph=True, allow_unused=True, materialize_grads=True
    )
    sizes = torch.stack([gradient.norm() for gradient in gradients]).view(-1, length)
    norms: list[float] = sizes.norm(dim=0).tolist()
    return norms
