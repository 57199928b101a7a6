"""The trace of a request, as those who answer it know it. Whoever records traces implements it; nobody else is loaded.

Knows which trace is under way. No text of a prompt, of an answer or of an error is ever given to one.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from router.outcome import Attempt
from router.propagation import telling
from router.trial import Opening

Facts = Mapping[str, str | int | float | None]


class Trace(Protocol):
    """One request's."""

    @property
    def trace_id(self) -> str | None:
        """Its id in hexadecimal, None where it was not drawn to be recorded."""
        ...

    def asked(self, model: str, operation: str) -> None:
        """What the client asks of whom. operation : ``chat`` or ``embeddings``."""
        ...

    def opened(self, opening: Opening) -> None:
        """A call is about to be made."""
        ...

    def closed(self, attempt: Attempt, nanousd: int | None) -> None:
        """A call ended. nanousd : its cost, None where it is not known."""
        ...

    def decided(self, facts: Facts) -> None:
        """How the request was decided, by the names of ``gateway.telemetry.names.Spans``."""
        ...

    def ended(self, endpoint: str, status: int) -> None:
        """The last byte of the response is out."""
        ...

    def headers_of(self, attempt_id: str) -> Mapping[str, str]:
        """What the upstream of a call is told."""
        ...


class Tracing(Protocol):
    """Records traces."""

    def began(self, method: str, headers: Mapping[str, str]) -> Trace:
        """A request came in. headers : its own, by lower-case name."""
        ...

    async def aclose(self) -> None:
        """Send what is recorded; returns in bounded time."""
        ...


_current: ContextVar[Trace | None] = ContextVar("spillway_trace", default=None)


def current() -> Trace | None:
    """The trace of the request under way."""
    return _current.get()


def current_id() -> str | None:
    """The id of the trace of the request under way, where it is recorded."""
    trace = _current.get()
    return None if trace is None else trace.trace_id


@contextmanager
def under_way(trace: Trace) -> Generator[None]:
    """While a request is answered."""
    here, there = _current.set(trace), telling.set(trace.headers_of)
    try:
        yield
    finally:
        _current.reset(here)
        telling.reset(there)
