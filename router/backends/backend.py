"""The port behind which every model stands, and what passes through it.

A backend knows how to ask one upstream model and what it said. It knows no price, no score, no ledger and no cascade.
"""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from scorer.answer import Answer, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request for one model.

    body : the client's chat-completions body in OpenAI's wire format, unknown fields included, without ``model``,
        ``stream`` and ``stream_options``, which are the backend's own business.
    attempt_id : the attempt that this call is, told upstream so that bills can be compared call by call.
    affinity : calls of one affinity had better go to one deployment, whose prompt cache knows what they share.
    cache_salt : calls that may share what a prompt cache knows have the same one. None: with no other call.
    """

    request_id: str
    body: Mapping[str, Any]
    timeout_s: float | None = None  # None: the backend's own
    attempt_id: str | None = None
    affinity: str | None = None
    cache_salt: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A complete answer.

    body : the upstream's chat.completion object as it came (with our ``model`` name), for the client.
    usage : None where the upstream told none.
    """

    answer: Answer
    usage: Usage | None
    body: Mapping[str, Any]
    latency_s: float
    first_token_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """One event of a live stream: an upstream chat.completion.chunk object. The last one of a stream has ``reply``.

    body : with one ``id``, ``created`` and our ``model`` name throughout, and without ``usage``, but for the last
        chunk: that is the usage chunk (empty ``choices``) if the upstream told its usage, else None.
    reply : the whole answer put together, on the last chunk only.
    usage : what the upstream has told so far; some tell it in every chunk.
    """

    body: Mapping[str, Any] | None
    reply: Reply | None = None
    usage: Usage | None = None


class Backend(Protocol):
    """One model, wherever it runs. Implementations: hosted, openai_compatible, recorded."""

    @property
    def model(self) -> str:
        """The name by which Spillway's users know this model."""
        ...

    async def complete(self, call: Call) -> Reply:
        """Ask and wait for the whole answer. Raises BackendError and nothing else (but CancelledError)."""
        ...

    def stream(self, call: Call) -> AsyncGenerator[Chunk]:
        """Ask and yield chunks as they come; closing the generator hangs up on the upstream. Raises BackendError.

        A stream that ends without its terminator raises BackendBroken after the chunks that came.
        """
        ...

    async def aclose(self) -> None:
        """Let go of connections."""
        ...
