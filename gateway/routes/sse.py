"""Server-sent events of a chat completion: one id, role first, usage iff asked for, ``[DONE]``.

Knows how chunks look. Knows no HTTP and no timing: see ``gateway/routes/chat.py``.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.json_bytes import encode
from router.streaming import split

DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": still deciding\n\n"


def event(body: Mapping[str, Any]) -> bytes:
    """One event that carries a JSON object."""
    return b"data: " + encode(body) + b"\n\n"


class ChunkWriter:
    """Renders all chunks of one stream, those that come live and those of an answer that is already whole.

    created : Unix seconds.   model : who answers; a stream never changes it.
    include_usage : the client asked for a usage chunk; every other chunk then says ``usage: null``.
    """

    def __init__(self, *, chat_id: str, created: int, model: str, include_usage: bool) -> None:
        self._frame = {"id": chat_id, "object": "chat.completion.chunk", "created": created, "model": model}
        self._include_usage = include_usage
        self._begun: set[int] = set()
        self._announcement: Mapping[str, Any] = {}

    def announce(self, fields: Mapping[str, Any]) -> None:
        """Let the next chunk carry fields about the decision, which headers can no longer carry."""
        self._announcement = {"spillway": fields}

    def live(self, body: Mapping[str, Any]) -> bytes | None:
        """An upstream's chunk as ours; None if it carries nothing for the client, such as a mere usage report."""
        choices = [self._choice(choice) for choice in body.get("choices") or ()]
        if not choices:
            return None
        chunk = {**body, **self._frame, "choices": choices, **self._announcement}
        self._announcement = {}
        chunk.pop("usage", None)
        if self._include_usage:
            chunk["usage"] = None
        return event(chunk)

    def whole(self, body: Mapping[str, Any]) -> Iterator[bytes]:
        """A whole chat.completion object as chunks, without its usage."""
        for chunk in split(body, usage=False):
            rendered = self.live(chunk)
            if rendered is not None:
                yield rendered

    def usage(self, usage: Mapping[str, Any] | None) -> bytes:
        """The usage chunk, which has no choices."""
        return event(self._frame | {"choices": [], "usage": usage})

    def _choice(self, choice: Mapping[str, Any]) -> dict[str, Any]:
        index = choice.get("index", 0)
        delta = {name: value for name, value in (choice.get("delta") or {}).items() if name != "role"}
        if index not in self._begun:  # once and first, whatever the upstream does: clients append what comes twice
            self._begun.add(index)
            delta = {"role": "assistant"} | delta
        return dict(choice) | {"index": index, "delta": delta}
