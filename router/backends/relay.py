"""One stream's chunks on their way to the client: relabelled, counted and put together.

Knows chunks as objects, not as bytes. Shared by the backends whose upstream streams.
"""

import time
from collections.abc import Mapping
from typing import Any

from router.backends.backend import Chunk
from router.backends.reading import read_reply, read_usage
from router.errors import BackendNonsense, BrokenStream
from router.ids import new_id
from router.streaming import Assembly, says_something
from scorer.answer import Usage, UsageSource


class Relay:
    """Give it each upstream chunk with ``pass_on``, then call ``end`` once."""

    def __init__(self, model: str, started: float) -> None:
        """started : ``time.monotonic()`` when the call was made."""
        self._model = model
        self._started = started
        self._assembly = Assembly()
        self._id = ""
        self._created: int | None = None
        self._first_token_s: float | None = None
        self._usage: Usage | None = None

    @property
    def began(self) -> bool:
        """Whether the model has said anything."""
        return self._first_token_s is not None

    def pass_on(self, body: Mapping[str, Any]) -> Chunk | None:
        """The chunk for the client, or None where it carries nothing for it. Raises BackendNonsense."""
        try:
            self._assembly.add(body)
        except BrokenStream as error:
            raise BackendNonsense(self._model, str(error), status=200) from error
        if body.get("usage") is not None:
            self._usage = read_usage(body["usage"]) or self._usage
        if not body.get("choices"):  # the usage, or an upstream's own note; clients index choices[0]
            return None
        if self._first_token_s is None and says_something(body):
            self._first_token_s = time.monotonic() - self._started
        return Chunk(body=self._labelled(body), usage=self._usage)

    def end(self, usage_source: UsageSource = "provider") -> Chunk:
        """The last chunk: the usage, if known, and the whole reply. Raises BackendNonsense where nothing was said."""
        body = {**self._assembly.body(), "id": self._id or new_id("chatcmpl"), "created": self._created or _now()}
        reply = read_reply(
            self._model,
            body,
            latency_s=time.monotonic() - self._started,
            first_token_s=self._first_token_s,
            usage_source=usage_source,
        )
        told = self._assembly.usage if reply.usage is not None else None
        last = {**self._labelled({"choices": []}), "usage": told} if told is not None else None
        return Chunk(body=last, reply=reply, usage=reply.usage)

    def _labelled(self, body: Mapping[str, Any]) -> dict[str, Any]:
        # an upstream's first chunk may lack an id, and some give each chunk another one
        self._id = self._id or str(body.get("id") or "") or new_id("chatcmpl")
        if self._created is None:
            created = body.get("created")
            self._created = created if isinstance(created, int) else _now()
        labelled = {key: value for key, value in body.items() if key != "usage"}
        labelled |= {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self._model,
        }
        return labelled


def _now() -> int:
    return int(time.time())
