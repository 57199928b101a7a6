"""A model played back from logs: its logged answer to the very same query, over the same port as a live one.

Knows the log by query only. Says nothing to a query that was never logged.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from router.backends.backend import Call, Chunk, Reply
from router.errors import BackendTimeout, BadBackendSpec, NotRecorded
from router.ids import new_id
from router.streaming import split
from scorer.dataset import LoggedAnswer, LoggedQuery, query_hash, read_log


class Recorded:
    """Plays back ``recorded_model``'s answers in ``logs``. Usage is the log's; token log-probabilities are passed to
    the scorer but not to the client, since a log keeps no token texts.

    replay_latency : wait as long as the logged call took, where the log says so.
    """

    def __init__(
        self, model: str, logs: Sequence[Path], *, recorded_model: str | None = None, replay_latency: bool = False
    ) -> None:
        """Raises ScorerError (BadLogLine, …) if a log cannot be read, BadBackendSpec if the model is not in it."""
        self._model = model
        self._recorded_model = recorded_model or model
        self._replay_latency = replay_latency
        self._queries = _index(tuple(str(path) for path in logs), tuple(_version(path) for path in logs))
        models = {name for query in self._queries.values() for name in query.answers}
        if self._recorded_model not in models:
            known = ", ".join(sorted(models)) or "no model"
            raise BadBackendSpec(
                model, "recorded_model", f"the logs have no answer of {self._recorded_model!r}; they have {known}"
            )

    @property
    def model(self) -> str:
        return self._model

    async def complete(self, call: Call) -> Reply:
        started = time.monotonic()
        logged = self._logged(call.body)
        if self._replay_latency and logged.latency_s is not None:
            try:
                async with asyncio.timeout(call.timeout_s):
                    await asyncio.sleep(logged.latency_s)
            except TimeoutError as error:
                raise BackendTimeout(self._model, f"the logged call took {logged.latency_s:.1f} s") from error
        return self._reply(logged, time.monotonic() - started)

    async def stream(self, call: Call) -> AsyncGenerator[Chunk]:
        reply = await self.complete(call)
        *bodies, usage = split(reply.body)
        for body in bodies:
            yield Chunk(body=body)
        yield Chunk(body=usage, reply=reply, usage=reply.usage)

    async def aclose(self) -> None:
        """Nothing is held."""

    def _logged(self, body: Mapping[str, Any]) -> LoggedAnswer:
        if body.get("n") not in (None, 1):
            raise NotRecorded(self._model, "a log has one answer to a query, so n must be 1")
        key = query_hash(body.get("messages") or (), body.get("tools") or (), body.get("response_format"))
        query = self._queries.get(key)
        if query is None or self._recorded_model not in query.answers:
            raise NotRecorded(self._model, "the logs have no such query (messages, tools and response_format)")
        return query.answers[self._recorded_model]

    def _reply(self, logged: LoggedAnswer, latency_s: float) -> Reply:
        # without a logged finish_reason the client gets one that fits; the scorer gets what it was trained on, none
        answer, usage = replace(logged.answer, model=self._model), logged.usage
        finish = answer.finish_reason or ("tool_calls" if answer.tool_calls else "stop")
        message: dict[str, Any] = {"role": "assistant", "content": answer.text or (None if answer.tool_calls else "")}
        if answer.tool_calls:
            message["tool_calls"] = [dict(call) for call in answer.tool_calls]
        counts = {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.prompt_tokens + usage.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": usage.cached_prompt_tokens},
            "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        }
        body = {
            "id": new_id("chatcmpl"),
            "object": "chat.completion",
            "created": int(time.time()),
            "model": self._model,
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
            "usage": counts,
        }
        return Reply(answer=answer, usage=usage, body=body, latency_s=latency_s)


def _version(path: Path) -> tuple[int, int]:
    try:
        state = path.stat()
    except OSError:
        return 0, 0  # reading it will say what is wrong
    return state.st_mtime_ns, state.st_size


@lru_cache(maxsize=16)  # the models of one log are as many backends, and share one reading of it
def _index(paths: tuple[str, ...], _versions: tuple[tuple[int, int], ...]) -> Mapping[str, LoggedQuery]:
    return {query.hash: query for query in read_log(paths).queries if query.answers}
