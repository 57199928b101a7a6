"""What the routes need of an API dialect: a request read, an answer rendered, a stream written.

Inside, every request is a chat completion (``gateway/completion.py``). A dialect converts to it and back with pure
functions; it knows no HTTP, no timing and no model.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway.errors import RequestError
from gateway.exchange import ChatRequest, Completion, Decision

Json = dict[str, Any]


class StreamWriter(Protocol):
    """Writes one stream: ``begin`` first, then ``live`` for each chunk of a live answer, then ``end`` or ``fail``.

    If nothing ever began, ``fail`` may come alone.
    """

    keep_alive: bytes
    """What may be sent again and again before the beginning, and says nothing."""

    def begin(self, decision: Decision, announced: Mapping[str, Any] | None) -> bytes:
        """announced : fields about the decision that headers can no longer carry; None where they did."""
        ...

    def live(self, chunk: Mapping[str, Any]) -> bytes:
        """A chat.completion.chunk of the model that answers; empty where it says nothing to the client."""
        ...

    def end(self, completion: Completion) -> bytes:
        """All that is left to say: with an answer that was not live, the answer too."""
        ...

    def fail(self, error: RequestError) -> bytes:
        """There is no answer, or not all of one."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request as its client spoke it, and how to speak to that client.

    request : what is asked, as a chat completion.
    render : the whole answer's body.   writer : a new stream's writer.
    """

    request: ChatRequest
    render: Callable[[Completion], Mapping[str, Any]]
    writer: Callable[[], StreamWriter]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One endpoint's language.

    parse : (body, decision id) to the request. Raises InvalidRequest naming the field at fault.
    id_headers : the names under which its clients look for a request's id, beside ``x-request-id``.
    """

    path: str
    parse: Callable[[bytes, str], Asked]
    id_headers: tuple[str, ...] = field(default=())
