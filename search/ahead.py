"""The next trial of a search, drawn while the slots are busy.

A Gaussian process may think for seconds about a trial. So where a draw is slow, the next one is
made in another thread before a slot asks for it. It has heard of the trials that had ended when it
began, which are fewer than there are when its trial starts; the trials that ran then, it knew as
running. Which they are depends on the clock, as it always does where several trials run at a time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import ParamSpec, TypeVar

from .draft import Draft

SLOW = 0.05  # seconds from which a draw is made ahead

P = ParamSpec("P")
T = TypeVar("T")


class Ahead:
    """Draws trials, the next one ahead where the last one of its variant was slow.

    Args:
        draw: draws a variant's next trial, and changes no trial that there is.
    """

    def __init__(self, draw: Callable[[str], Draft]) -> None:
        self._draw = draw
        self._seconds: dict[str, float] = {}  # that the last draw of a variant took
        self._drawing: dict[str, Future[Draft]] = {}

    def begin(self, variant: str) -> bool:
        """Draws ahead where that is worth it; returns whether it is still being drawn."""
        slow = self._seconds.get(variant, 0.0) > SLOW
        if slow and variant not in self._drawing and all(f.done() for f in self._drawing.values()):
            self._drawing[variant] = in_background("sampler", self._timed, variant)
        return slow and not (variant in self._drawing and self._drawing[variant].done())

    def take(self, variant: str) -> Draft:
        """The next trial, when it is drawn."""
        drawing = self._drawing.pop(variant, None)
        return drawing.result() if drawing else self._timed(variant)

    def _timed(self, variant: str) -> Draft:
        start = time.monotonic()
        draft = self._draw(variant)
        self._seconds[variant] = time.monotonic() - start
        return draft


def in_background(name: str, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
    """Does work in a thread of that name, which ends with the process at the latest."""
    done = Future[T]()

    def run() -> None:
        try:
            done.set_result(work(*args, **kwargs))
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return done
