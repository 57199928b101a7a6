"""Models that answer with vectors, behind the same port as those that answer with words.

A reply's body is the upstream's embeddings object; its answer is empty, since nothing was said that could be scored.
Knows OpenAI's embeddings format. Knows no price.
"""

import base64
import struct
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from router.backends.backend import Call, Chunk, Reply
from router.backends.hosted import Hosted
from router.backends.openai_compatible import OpenAICompatible
from router.errors import BackendNonsense, BackendRefused
from scorer.answer import Answer, Usage

_MOST_TOKENS = 10**9
_NOTHING: tuple[Chunk, ...] = ()


class OpenAICompatibleEmbeddings(OpenAICompatible):
    """An embedding model of any server that speaks OpenAI's protocol. Made with ``path="/embeddings"``."""

    async def complete(self, call: Call) -> Reply:
        started = time.monotonic()
        exchange = await self._ask(call, stream=False)
        try:
            body = await self._whole_body(exchange)
        finally:
            exchange.close()
        return read_vectors(self.model, body, call.body, latency_s=time.monotonic() - started)

    async def stream(self, call: Call) -> AsyncGenerator[Chunk]:
        for chunk in _NOTHING:  # an async generator, as the port has it
            yield chunk
        raise BackendRefused(self.model, "vectors are not streamed")

    def _body(self, call: Call, *, stream: bool) -> dict[str, Any]:
        return {**call.body, "model": self._upstream_model}


class HostedEmbeddings(Hosted):
    """An embedding model of any provider that litellm knows."""

    async def complete(self, call: Call) -> Reply:
        started = time.monotonic()
        body = await self.embed(call)
        return read_vectors(self.model, body, call.body, latency_s=time.monotonic() - started)

    async def stream(self, call: Call) -> AsyncGenerator[Chunk]:
        for chunk in _NOTHING:  # an async generator, as the port has it
            yield chunk
        raise BackendRefused(self.model, "vectors are not streamed")


def read_vectors(model: str, body: Mapping[str, Any], asked: Mapping[str, Any], *, latency_s: float) -> Reply:
    """The reply in an embeddings object, one vector an input in order, encoded as asked. Raises BackendNonsense."""
    data = body.get("data")
    if not isinstance(data, list) or not all(isinstance(entry, Mapping) for entry in data):
        raise BackendNonsense(model, "the answer has no data", status=200)
    if len(data) != inputs_of(asked.get("input")):
        raise BackendNonsense(model, f"{len(data)} vectors came for {inputs_of(asked.get('input'))} inputs", status=200)
    wanted = asked.get("encoding_format") or "float"
    vectors = [
        {"object": "embedding", "index": n, "embedding": _encoded(model, entry.get("embedding"), wanted)}
        for n, entry in enumerate(sorted(data, key=_index))
    ]
    told = {**body, "object": "list", "model": model, "data": vectors}
    usage = _usage(body.get("usage"))
    if usage is None:
        told.pop("usage", None)
    return Reply(answer=Answer(model=model, text=""), usage=usage, body=told, latency_s=latency_s)


def inputs_of(value: Any) -> int:
    """How many inputs there are: one text or one list of token ids, or a list of such."""
    if not isinstance(value, list):
        return 1
    return 1 if value and all(isinstance(item, int) for item in value) else len(value)


def _encoded(model: str, vector: Any, wanted: Any) -> Any:
    """A vector as the client wants it, whichever way the upstream sent it."""
    try:
        if isinstance(vector, str):
            raw = base64.b64decode(vector, validate=True)
            return vector if wanted == "base64" else list(struct.unpack(f"<{len(raw) // 4}f", raw))
        if isinstance(vector, Sequence):
            packed = struct.pack(f"<{len(vector)}f", *vector)
            return base64.b64encode(packed).decode() if wanted == "base64" else vector
    except (ValueError, struct.error, OverflowError) as error:
        raise BackendNonsense(model, "a vector is neither numbers nor base64", status=200) from error
    raise BackendNonsense(model, "a vector is missing", status=200)


def _index(entry: Mapping[str, Any]) -> int:
    index = entry.get("index")
    return index if isinstance(index, int) else 0


def _usage(usage: Any) -> Usage | None:
    count = usage.get("prompt_tokens") if isinstance(usage, Mapping) else None
    if not isinstance(count, int) or isinstance(count, bool) or not 0 < count < _MOST_TOKENS:
        return None
    return Usage(prompt_tokens=count, completion_tokens=0)
