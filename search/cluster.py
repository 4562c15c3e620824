"""The machines that Ray runs on: what fits on them, what they see, and whether the head answers."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from .plan import BadInput, Plan
from .shelf import Shelf

_PATIENCE = 20.0  # seconds without an answer; Ray itself ends this process without a word after 60
_ANSWER = 60.0  # seconds that a machine has to start a process and look around
_PACE = 2.0  # seconds between two looks at the head, or at the machines


class HeadLostError(ConnectionError):
    """Ray's head, without which nothing can be started or heard, is gone."""


class Head:
    """The head of the Ray that this process has joined."""

    def __init__(self) -> None:
        host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
        self._address = host.strip("[]"), int(port)
        self._asked = self._answered = time.monotonic()

    def check(self) -> None:
        """Looks for the head, if the last look is a while ago.

        Raises:
            HeadLostError: it has not answered for too long.
        """
        if time.monotonic() < self._asked + _PACE:
            return
        try:
            socket.create_connection(self._address, timeout=_PACE).close()
            self._answered = time.monotonic()
        except OSError as error:
            silent = time.monotonic() - self._answered
            if silent > _PATIENCE:
                place = ":".join(map(str, self._address))
                told = f"Ray's head at {place} has not answered for {silent:.0f} s ({error})"
                raise HeadLostError(told) from error
        self._asked = time.monotonic()


class Slots:
    """How many trials fit on the machines that are there now: some may come, and some may go.

    Args:
        plan: says what a trial needs.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan, self._seen, self._count = plan, -_PACE, 0

    def __call__(self) -> int:
        """The planned concurrency, or as many as fit."""
        if self._plan.concurrency is not None:
            return self._plan.concurrency
        if time.monotonic() > self._seen + _PACE:
            self._count = sum(fitting(self._plan.needs, node["Resources"]) for node in machines())
            self._seen = time.monotonic()
        return self._count


def machines() -> list[dict[str, Any]]:
    """The cluster's living nodes, as Ray describes them."""
    return [node for node in ray.nodes() if node["Alive"]]


def fitting(needs: dict[str, float], there: dict[str, float]) -> int:
    """How many trials of such needs fit on a machine at a time."""
    # A tenth of a GPU, ten times, is one GPU: what floats lose on the way is made up for.
    return int(min(there.get(name, 0.0) / need + 1e-9 for name, need in needs.items() if need))


def check_machines(plan: Plan, shelf: Shelf) -> None:
    """Checks that a trial fits, and has every machine look for what its trials will need.

    Raises:
        BadInput: no machine is large enough, or some do not see the checkpoints or the data.
    """
    nodes = machines()
    if not any(fitting(plan.needs, node["Resources"]) for node in nodes):
        needed = ", ".join(f"{need:g} {name}" for name, need in plan.needs.items() if need)
        there = "; ".join(f"{_name(node)}: {_described(node)}" for node in nodes)
        raise BadInput(f"a trial needs {needed}, and no machine of the cluster has it ({there})")
    mark(plan, shelf)
    problems = [f"{_name(node)}: {what}" for node, what in _answers(nodes, plan, shelf) if what]
    if problems:
        raise BadInput(
            "every machine of the cluster must see the checkpoints (--out on a shared path, or "
            "--checkpoints PLACE), the data and this package; these do not: " + "; ".join(problems)
        )


def mark(plan: Plan, shelf: Shelf) -> None:
    """Makes the place of the checkpoints a run's own.

    Raises:
        BadInput: it cannot be written from here.
    """
    try:
        shelf.mark(plan.created)
    except OSError as error:
        raise BadInput(
            f"the checkpoints cannot be written to {shelf.place}: {error}; make it writable, or "
            "choose another with --checkpoints"
        ) from error


def _answers(
    nodes: list[dict[str, Any]], plan: Plan, shelf: Shelf
) -> Iterator[tuple[dict[str, Any], str]]:
    """What is wrong on each machine, empty where nothing is."""
    look = ray.remote(num_cpus=0, max_retries=0)(_look)
    asked = [
        look.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote(shelf, plan.created, plan.data, f"probe-{node['NodeID']}")
        for node in nodes
    ]
    deadline = time.monotonic() + _ANSWER
    for node, answer in zip(nodes, asked, strict=True):
        try:
            yield node, ray.get(answer, timeout=max(0.0, deadline - time.monotonic()))
        except ray.exceptions.GetTimeoutError:
            yield node, f"no answer within {_ANSWER:g} s"
        except ray.exceptions.RayError as error:
            yield node, str(error).strip().splitlines()[-1]


def _look(shelf: Shelf, token: str, data: str | None, probe: str) -> str:
    """Runs on a machine of the cluster: what its trials would miss; empty when nothing."""
    from pathlib import Path

    if data is not None and not Path(data).is_dir():
        return f"--data {data} is no directory there"
    return shelf.look(token, probe)


def _name(node: dict[str, Any]) -> str:
    return (
        f"node {node['NodeManagerHostname']} ({node['NodeManagerAddress']}, {node['NodeID'][:8]})"
    )


def _described(node: dict[str, Any]) -> str:
    kinds = {n: v for n, v in node["Resources"].items() if not n.startswith(("node:", "object_st"))}
    return ", ".join(
        f"{value:g} {name}" for name, value in sorted(kinds.items()) if name != "memory"
    )
