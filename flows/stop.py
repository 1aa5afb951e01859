"""Why a flow ends before its input does: a drain that was asked for, or the first failure.

In:    signals of the operating system; exceptions of any step
Out:   ``draining`` and ``failure``, which sources look at before they read on
State: one object per flow

Bytewax 0.21.1 answers an exception in a step with a Rust panic and 40 lines on stderr. Steps run
under a ``Stop`` instead: the first failure is kept, every later step of the same chunk does nothing
(so nothing half-made is committed), the source ends, and the flow's caller raises what was kept.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Stop:
    """Asked by sources, told by signals and by steps."""

    def __init__(self) -> None:
        self.draining = False
        self.failure: BaseException | None = None

    def asked(self) -> bool:
        """Whether the source should hand out no more records."""
        return self.draining or self.failure is not None

    def fail(self, failure: BaseException) -> None:
        """Keep the first failure; those that follow from it say less."""
        if self.failure is None:
            self.failure = failure

    def guard(self, step: Callable[P, T], instead: Callable[[], T]) -> Callable[P, T]:
        """``step`` that keeps its failure here, and is ``instead`` once anything failed."""

        def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
            if self.failure is not None:
                return instead()
            try:
                return step(*args, **kwargs)
            except StopIteration:
                raise
            except BaseException as failure:  # noqa: BLE001 - whatever it is, it would panic the engine
                self.fail(failure)
                return instead()

        return guarded

    def check(self) -> None:
        """Raise the failure that ended the flow, if one did."""
        if self.failure is not None:
            raise self.failure


@contextmanager
def draining_on_signals(stop: Stop) -> Iterator[None]:
    """SIGTERM and SIGINT ask for a drain; a second SIGINT interrupts."""

    def drain(number: int, _: FrameType | None) -> None:
        if stop.draining and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.draining = True

    kept = {number: signal.signal(number, drain) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
