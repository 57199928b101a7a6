"""A backend that is told nothing which its upstream has no word for, and asked for what a scorer wants to see.

Knows which hints an upstream understands, its output limit, OpenAI's own name for that, and log-probabilities that
nobody but the scorer asked for. Knows no transport.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from router.backends.backend import Backend, Call, Chunk, Reply
from router.errors import BackendRefused
from router.hints import CLAUDES, HINTS, Hint, without_hints

_OPENAIS_HOSTS = ("openai.com", "openai.azure.com")
_THINKING_PROVIDERS = ("anthropic/", "bedrock/", "vertex_ai/claude", "vertex_ai/anthropic", "azure_ai/claude")


def expressible(kind: str, upstream_model: str | None, said: frozenset[str] | None) -> frozenset[Hint]:
    """The hints that an upstream understands: those that its description names, and what Claude always does.

    said : the capabilities in its description; None where it has none.
    """
    named = frozenset(hint for hint in HINTS if said is not None and hint in said)
    model = upstream_model or ""
    claude = kind == "hosted" and model.startswith(_THINKING_PROVIDERS) and ("claude" in model or "anthropic" in model)
    return CLAUDES if claude and said is None else named


class Expressing:
    """The backend it is given, called without the hints that its upstream does not understand.

    output_limit : the model's documented one, sent where a request has none: a bound of the cost, and kept upstream.
    renames_limit : ``max_tokens`` is sent as ``max_completion_tokens``, which is all that some of OpenAI's models take.
    asks_logprobs : log-probabilities are asked for always. Where the request did not, they stand in the answer that is
        scored, and not in what the client sees. Where the upstream refuses them, as some do in what is otherwise a fine
        request, it is asked without.

    salted : its upstream keeps prompts apart in its cache by a ``cache_salt``, and is told one. It may change.
    """

    def __init__(
        self,
        backend: Backend,
        hints: frozenset[Hint],
        *,
        renames_limit: bool = False,
        output_limit: int | None = None,
        asks_logprobs: bool = False,
    ) -> None:
        self._backend, self._hints, self._renames_limit = backend, hints, renames_limit
        self._output_limit, self._asks_logprobs = output_limit, asks_logprobs
        self.salted = False

    @property
    def model(self) -> str:
        return self._backend.model

    async def complete(self, call: Call) -> Reply:
        if not self._adds_logprobs(call):
            return await self._backend.complete(self._expressed(call))
        try:
            return _unasked(await self._backend.complete(self._expressed(call, logprobs=True)))
        except BackendRefused as error:
            if not _names_logprobs(error):
                raise
            return await self._backend.complete(self._expressed(call))

    async def stream(self, call: Call) -> AsyncGenerator[Chunk]:
        if self._adds_logprobs(call):
            began = False
            try:
                async with aclosing(self._backend.stream(self._expressed(call, logprobs=True))) as chunks:
                    async for chunk in chunks:
                        began = True
                        yield _unasked_chunk(chunk)
            except BackendRefused as error:
                if began or not _names_logprobs(error):
                    raise
            else:
                return
        async with aclosing(self._backend.stream(self._expressed(call))) as chunks:
            async for chunk in chunks:
                yield chunk

    async def aclose(self) -> None:
        await self._backend.aclose()

    def _adds_logprobs(self, call: Call) -> bool:
        return self._asks_logprobs and not call.body.get("logprobs")

    def _expressed(self, call: Call, *, logprobs: bool = False) -> Call:
        body, _ = without_hints(call.body, self._hints)
        if logprobs:
            body = {**body, "logprobs": True}
        if body.get("top_logprobs") == 0:  # which is what leaving it out means, but llama.cpp then tells nothing at all
            body = {name: value for name, value in body.items() if name != "top_logprobs"}
        said = any(body.get(name) is not None for name in ("max_tokens", "max_completion_tokens"))
        if self._output_limit is not None and not said:
            body = {**body, "max_tokens": self._output_limit}
        if self._renames_limit and "max_tokens" in body:
            body = _renamed(body)
        if self.salted:
            told = f"{call.cache_salt or call.request_id}\n{body.get('cache_salt', '')}"
            body = {**body, "cache_salt": sha256(told.encode("utf-8", "replace")).hexdigest()}
        return call if body is call.body else replace(call, body=body)


def _names_logprobs(error: BackendRefused) -> bool:
    return "logprobs" in error.message


def is_openais(base_url: str | None) -> bool:
    """Whether a server is OpenAI's own."""
    host = urlsplit(base_url or "").hostname or ""
    return any(host == own or host.endswith("." + own) for own in _OPENAIS_HOSTS)


def _unasked(reply: Reply) -> Reply:
    return replace(reply, body=_without_logprobs(reply.body))


def _unasked_chunk(chunk: Chunk) -> Chunk:
    reply = None if chunk.reply is None else _unasked(chunk.reply)
    return replace(chunk, reply=reply, body=None if chunk.body is None else _without_logprobs(chunk.body))


def _without_logprobs(body: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = [{**choice, "logprobs": None} if "logprobs" in choice else choice for choice in body.get("choices") or ()]
    return {**body, "choices": choices}


def _renamed(body: Mapping[str, Any]) -> Mapping[str, Any]:
    limit = body.get("max_completion_tokens", body["max_tokens"])
    return {name: value for name, value in body.items() if name != "max_tokens"} | {"max_completion_tokens": limit}
