"""The event stream of a chat completion: one id, role first, usage iff asked for, ``[DONE]``.

Knows how chunks look. Knows no HTTP and no timing: see ``gateway/routes/stream.py``.
"""

from collections.abc import Mapping
from typing import Any

from gateway.dialects.chat.answer import render_usage
from gateway.dialects.errors import openai_error
from gateway.dialects.sse import COMMENT, DONE, event
from gateway.errors import RequestError
from gateway.exchange import Completion, Decision
from router.streaming import split


class ChunkWriter:
    """Renders all chunks of one stream, those that come live and those of an answer that is already whole.

    include_usage : the client asked for a usage chunk; every other chunk then says ``usage: null``.
    """

    keep_alive = COMMENT

    def __init__(self, *, include_usage: bool) -> None:
        self._include_usage = include_usage
        self._frame: dict[str, Any] = {}
        self._begun: set[int] = set()
        self._announcement: Mapping[str, Any] = {}

    def begin(self, decision: Decision, announced: Mapping[str, Any] | None) -> bytes:
        """Nothing is said yet: the first chunk carries what is announced, in a field ``spillway``."""
        self._frame = {
            "id": decision.chat_id,
            "object": "chat.completion.chunk",
            "created": int(decision.created.timestamp()),
            "model": decision.model,
        }
        self._announcement = {} if announced is None else {"spillway": announced}
        return b""

    def live(self, chunk: Mapping[str, Any]) -> bytes:
        """An upstream's chunk as ours; empty if it carries nothing for the client, such as a mere usage report."""
        choices = [self._choice(choice) for choice in chunk.get("choices") or ()]
        if not choices:
            return b""
        told = {**chunk, **self._frame, "choices": choices, **self._announcement}
        self._announcement = {}
        told.pop("usage", None)
        if self._include_usage:
            told["usage"] = None
        return event(told)

    def end(self, completion: Completion) -> bytes:
        """What of the answer has not gone out, the usage chunk if it was asked for, and the terminator."""
        pieces = [] if completion.live else [self.live(chunk) for chunk in split(completion.body, usage=False)]
        if self._include_usage:
            pieces.append(event(self._frame | {"choices": [], "usage": render_usage(completion)}))
        return b"".join([*pieces, DONE])

    def fail(self, error: RequestError) -> bytes:
        """A top-level ``error``, on which OpenAI's clients raise, and no terminator."""
        return event(openai_error(error))

    def _choice(self, choice: Mapping[str, Any]) -> dict[str, Any]:
        index = choice.get("index", 0)
        delta = {name: value for name, value in (choice.get("delta") or {}).items() if name != "role"}
        if index not in self._begun:  # once and first, whatever the upstream does: clients append what comes twice
            self._begun.add(index)
            delta = {"role": "assistant"} | delta
        return dict(choice) | {"index": index, "delta": delta}
