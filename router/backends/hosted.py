"""A model of any provider that litellm knows; the only file that speaks to litellm, loaded with the first call.

Knows litellm's parameters, objects and exceptions. Uses none of its retries, prices, caches or callbacks.
"""

import asyncio
import functools
import json
import os
import time
import warnings
from collections.abc import AsyncGenerator, Awaitable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeVar

from router.backends.backend import Call, Chunk, Reply
from router.backends.failures import failure, redacted, retry_after_s
from router.backends.reading import read_reply
from router.backends.relay import Relay
from router.errors import BackendBroken, BackendError, BackendNonsense, BackendTimeout, BackendUnreachable
from router.propagation import trace_headers
from router.streaming import split
from router.tokenizers import known_encoding

# What litellm translates between providers. Everything else of a client's body travels in extra_body, as data: litellm
# takes a caller's api_base, api_key, headers or fallbacks from its keyword arguments.
_TRANSLATED = frozenset(
    {
        "messages",
        "functions",
        "function_call",
        "temperature",
        "top_p",
        "n",
        "stop",
        "max_tokens",
        "max_completion_tokens",
        "modalities",
        "prediction",
        "presence_penalty",
        "frequency_penalty",
        "audio",
        "logit_bias",
        "user",
        "response_format",
        "seed",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "logprobs",
        "top_logprobs",
        "reasoning_effort",
        "service_tier",
        "verbosity",
    }
)
_EMBEDDING = ("dimensions", "encoding_format")
_OVERLOADED = 529  # Anthropic's word for busy
_NEVER_CONNECTED = frozenset({"ConnectError", "ConnectTimeout", "ClientConnectorError", "ClientConnectorDNSError"})

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class _Account:
    """What stays out of every repr."""

    api_key: str | None
    base_url: str | None
    headers: Mapping[str, str]

    @property
    def secrets(self) -> tuple[str, ...]:
        return tuple(filter(None, (self.api_key, *self.headers.values())))


class Hosted:
    """One model of one provider.

    upstream_model : litellm's name for it, such as ``anthropic/claude-sonnet-4-5``.
    api_key : None leaves it to litellm, which looks for the provider's usual environment variable.
    """

    def __init__(
        self,
        model: str,
        *,
        upstream_model: str,
        timeout_s: float,
        first_token_timeout_s: float | None = None,
        idle_timeout_s: float | None = None,
        api_key: str | None = None,
        base_url: str | None = None,
        extra_headers: Mapping[str, str] | None = None,
    ) -> None:
        self._model = model
        self._upstream_model = upstream_model
        self._timeout_s = timeout_s
        self._first_token_timeout_s = first_token_timeout_s
        self._idle_timeout_s = idle_timeout_s
        self._account = _Account(api_key=api_key, base_url=base_url, headers=dict(extra_headers or {}))

    @property
    def model(self) -> str:
        return self._model

    async def complete(self, call: Call) -> Reply:
        started = time.monotonic()
        litellm = await asyncio.to_thread(_load)  # the other requests go on meanwhile
        try:
            response = await self._within(litellm.acompletion(**self._arguments(call)), self._ends(call, started))
        except Exception as error:
            raise self._named(error) from error
        return read_reply(self._model, _tidy(response.model_dump()), latency_s=time.monotonic() - started)

    async def embed(self, call: Call) -> dict[str, Any]:
        """The embeddings object for an input, of a model that makes vectors. Raises BackendError."""
        litellm = await asyncio.to_thread(_load)
        arguments = self._arguments(call) | {"input": call.body["input"]}
        others = {key: value for key, value in call.body.items() if key not in ("input", *_EMBEDDING, *_TRANSLATED)}
        arguments |= {key: call.body[key] for key in _EMBEDDING if call.body.get(key) is not None}
        arguments["extra_body"] = others
        if not others:
            del arguments["extra_body"]
        try:
            response = await self._within(litellm.aembedding(**arguments), self._ends(call, time.monotonic()))
        except Exception as error:
            raise self._named(error) from error
        body: dict[str, Any] = response.model_dump()
        return body

    async def stream(self, call: Call) -> AsyncGenerator[Chunk]:
        started = time.monotonic()
        relay = Relay(self._model, started)
        if call.body.get("n") not in (None, 1):  # litellm's streams know one choice only
            reply = await self.complete(call)
            for chunk in filter(None, map(relay.pass_on, split(reply.body))):
                yield chunk
            yield relay.end()
            return
        async with aclosing(self._chunks(call, started, relay)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def aclose(self) -> None:
        """Nothing is held here: litellm keeps its connections for the whole process."""

    async def _chunks(self, call: Call, started: float, relay: Relay) -> AsyncGenerator[Chunk]:
        litellm = await asyncio.to_thread(_load)  # the other requests go on meanwhile
        ends = self._ends(call, started)
        first = ends if self._first_token_timeout_s is None else min(ends, started + self._first_token_timeout_s)
        stream: Any = None
        try:
            stream = await self._within(
                litellm.acompletion(**self._arguments(call), stream=True, stream_options={"include_usage": True}), first
            )
            pieces = aiter(stream)
            while True:
                idle = ends if self._idle_timeout_s is None else min(ends, time.monotonic() + self._idle_timeout_s)
                piece = await self._within(anext(pieces, None), idle if relay.began else first)
                if piece is None:
                    break
                chunk = relay.pass_on(_tidy_chunk(piece.model_dump()))
                if chunk is not None:
                    yield chunk
            yield self._end(stream, relay)
        except BackendError:
            raise
        except Exception as error:
            raise self._named(error, began=relay.began) from error
        finally:
            if stream is not None:
                await stream.aclose()

    def _end(self, stream: Any, relay: Relay) -> Chunk:
        # litellm ends a stream that broke off as if it had ended well, and counts tokens that nobody told it
        if stream.received_finish_reason is None and stream.intermittent_finish_reason is None:
            raise BackendBroken(self._model, "the stream ended without a finish_reason", status=200)
        told = any(getattr(piece, "usage", None) is not None for piece in stream.chunks)
        if told:
            return relay.end("provider")
        return relay.end("counted" if known_encoding(self._upstream_model) else "estimated")  # by a stranger's words

    def _arguments(self, call: Call) -> dict[str, Any]:
        arguments: dict[str, Any] = {key: value for key, value in call.body.items() if key in _TRANSLATED}
        others = {key: value for key, value in call.body.items() if key not in _TRANSLATED}
        arguments |= {
            "model": self._upstream_model,
            "timeout": self._timeout_s,  # always the same: litellm opens new connections for every other value
            "num_retries": 0,
            "max_retries": 0,
            "api_key": self._account.api_key,
            "api_base": self._account.base_url,
            "extra_headers": {**self._account.headers, **trace_headers(call.attempt_id)} or None,
            "extra_body": others or None,
            # else every call with tools loads litellm's own proxy, which needs packages that nobody else does
            "_skip_mcp_handler": True if call.body.get("tools") else None,
        }
        return {key: value for key, value in arguments.items() if value is not None}

    def _ends(self, call: Call, started: float) -> float:
        return started + (self._timeout_s if call.timeout_s is None else min(self._timeout_s, call.timeout_s))

    async def _within(self, awaitable: Awaitable[T], ends: float) -> T:
        scope = asyncio.timeout(ends - time.monotonic())
        try:
            async with scope:
                return await awaitable
        except TimeoutError as error:
            if scope.expired():
                raise BackendTimeout(self._model, "did not answer in time") from error
            raise

    def _named(self, error: Exception, *, began: bool = False) -> BackendError:
        """Our error for one of litellm's, by what caused it, since litellm calls most of them a server error."""
        if isinstance(error, BackendError):
            return error
        causes = list(_causes(error))
        names = {type(cause).__name__ for cause in causes}
        garbled = any(isinstance(cause, json.JSONDecodeError) for cause in causes)
        status = getattr(error, "status_code", None)
        if any(getattr(cause, "status_code", None) == _OVERLOADED for cause in causes):  # litellm says 500 of it
            status = _OVERLOADED
        said = redacted(str(error).partition("\n")[0], self._account.secrets)  # behind it come tracebacks and links
        if began or "MidStreamFallbackError" in names:
            kind = (
                BackendNonsense if any(isinstance(cause, json.JSONDecodeError) for cause in causes) else BackendBroken
            )
            return kind(self._model, f"failed in the stream: {said}")
        if names & _NEVER_CONNECTED:
            return BackendUnreachable(self._model, said)
        if garbled:
            return BackendNonsense(self._model, said, status=200)
        if isinstance(error, TimeoutError) or names & {"Timeout", "APITimeoutError"}:
            return BackendTimeout(self._model, said, status=status if isinstance(status, int) else None)
        if not isinstance(status, int) or status < 400:
            return BackendBroken(self._model, said)
        headers = getattr(error, "litellm_response_headers", None)
        wait_s = retry_after_s(headers) if isinstance(headers, Mapping) else None
        return failure(self._model, status, said, retry_after_s=wait_s)


@functools.cache
def _load() -> Any:
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else the import fetches a price list over the network
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its dependencies warn about one another
        import litellm  # noqa: PLC0415  seconds and 160 MB, for those only who call hosted models

        # these are finished on first use, as noisily
        litellm.ModelResponse()
        litellm.ModelResponseStream(choices=[{"index": 0, "delta": {"content": ""}}])
    litellm.telemetry = False
    litellm.turn_off_message_logging = True
    litellm.suppress_debug_info = True  # it prints advertisements on errors
    return litellm


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in seen:
        seen.append(cause)
        yield cause
        cause = cause.__cause__ or cause.__context__


def _tidy(body: Mapping[str, Any]) -> dict[str, Any]:
    """A dumped chat.completion without the empty fields of other providers."""
    choices = []
    for choice in body.get("choices") or ():
        message = choice.get("message") or {}
        told = {key: value for key, value in message.items() if value is not None and value != {}}
        told.setdefault("content", None)
        choices.append({**_without_none(choice), "message": told, "finish_reason": choice.get("finish_reason")})
    usage = body.get("usage")
    tidied = {**_without_none(body), "choices": choices}
    if usage is not None:
        tidied["usage"] = _without_none(usage)
    return tidied


def _tidy_chunk(body: Mapping[str, Any]) -> dict[str, Any]:
    """A dumped chunk likewise; litellm's usage chunk has a choice that says nothing."""
    choices = [
        {
            **_without_none(choice),
            "delta": _without_none(choice.get("delta") or {}),
            "finish_reason": choice.get("finish_reason"),
        }
        for choice in body.get("choices") or ()
    ]
    usage = body.get("usage")
    tidied = {**_without_none(body), "choices": [choice for choice in choices if _says(choice)]}
    if usage is not None:
        tidied["usage"] = _without_none(usage)
    return tidied


def _says(choice: Mapping[str, Any]) -> bool:
    return bool(choice["delta"] or choice["finish_reason"] or choice.get("logprobs"))


def _without_none(value: Mapping[str, Any]) -> dict[str, Any]:
    return {key: item for key, item in value.items() if item is not None and item != {}}
