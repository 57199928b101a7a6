"""What an upstream is told so that its trace of a call continues ours. Knows where headers come from, not which."""

from collections.abc import Callable, Mapping
from contextvars import ContextVar

HeadersOf = Callable[[str], Mapping[str, str]]
"""The headers of the call that is this attempt."""

telling: ContextVar[HeadersOf | None] = ContextVar("spillway_telling", default=None)
"""Set for as long as a traced request is answered, by whoever traces it."""

_NONE: Mapping[str, str] = {}


def trace_headers(attempt_id: str | None) -> Mapping[str, str]:
    """What goes with this attempt's call; nothing where nobody traces it."""
    headers_of = telling.get()
    return _NONE if headers_of is None or attempt_id is None else headers_of(attempt_id)
