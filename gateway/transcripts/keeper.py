"""Keeps transcripts: queued as answers end, packed and written in batches beside everything else.

Nothing waits for it. Where the database is away for so long that too much has gathered, transcripts are lost, and
counted; money never depends on them. Knows queues and the rules of the moment. Knows no table.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.background import in_background
from gateway.database import Database, DatabaseError, DatabaseUnavailable
from gateway.transcripts.store import QUESTION, Text, TranscriptStore
from router.outcome import Attempt
from scorer.answer import Query

_MOST_WAITING_BYTES = 64 * 1024 * 1024
_A_BATCH = 500
_LINGER_S = 1.0
_LAST_WORDS_S = 5.0
_LONGEST_WAIT_S = 30.0
_PURGE_EVERY_S = 600.0
_DAY_US = 86_400_000_000
_LOGPROB_DIGITS = 5

_log = logging.getLogger("spillway.transcripts")


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptRules:
    """share : of requests that are kept, 0: none is.   days : after so many they go.

    most_bytes : of one question, or one answer; a request with a longer question is not kept, nor a longer answer.
    """

    share: float
    days: int
    most_bytes: int

    def take(self, decision_id: str) -> bool:
        """Whether a request is among those that are kept."""
        digest = hashlib.sha256(f"transcript\n{decision_id}".encode()).digest()
        return int.from_bytes(digest[:7], "big") / 2**56 < self.share


class Transcript:
    """One request's. The question is kept with its first answer: of what nobody answered there is nothing to learn."""

    def __init__(self, keeper: "TranscriptKeeper", query: Query, created_us: int, most_bytes: int) -> None:
        self._keeper, self._query, self._created_us, self._most = keeper, query, created_us, most_bytes
        self._asked = False

    def answered(self, attempt: Attempt) -> None:
        """Keep an attempt's answer, if it has one. Never blocks, never raises."""
        if attempt.reply is None:
            return
        if not self._asked:
            self._asked = True
            query = self._query
            question = {
                "messages": query.messages,
                "tools": query.tools,
                "response_format": query.response_format,
            }
            if not self._put(QUESTION, question):
                self._most = 0  # an answer alone says nothing
                return
        answer = attempt.reply.answer
        logprobs = answer.token_logprobs
        said = {
            "text": answer.text,
            "tool_calls": answer.tool_calls,
            "finish_reason": answer.finish_reason,
            "token_logprobs": None if logprobs is None else [round(value, _LOGPROB_DIGITS) for value in logprobs],
        }
        self._put(attempt.id, {name: value for name, value in said.items() if value})

    def _put(self, attempt_id: str, content: dict[str, Any]) -> bool:
        try:
            written = orjson.dumps(content)
        except TypeError:  # half a surrogate pair and the like
            return False
        if len(written) > self._most:
            return False
        self._keeper.put(
            Text(decision_id=self._query.id, attempt_id=attempt_id, created_us=self._created_us, content=written)
        )
        return True


class TranscriptKeeper(Collector):
    """The one that keeps them. rules : asked for each request, for they may change while the gateway runs."""

    def __init__(self, database: Database, rules: Callable[[], TranscriptRules]) -> None:
        self._store, self._rules = TranscriptStore(database), rules
        self._waiting: list[Text] = []
        self._waiting_bytes = 0
        self._wake = asyncio.Event()
        self.kept = self.lost = 0  # rows; for metrics

    def collect(self) -> Iterator[Metric]:
        """As Prometheus' client asks for it."""
        yield CounterMetricFamily("spillway_transcripts", "Questions and answers that were kept", value=self.kept)
        said = "Questions and answers that were not kept, the database being away"
        yield CounterMetricFamily("spillway_transcripts_lost", said, value=self.lost)

    def of(self, query: Query) -> Transcript | None:
        """What keeps a request's questions and answers; None where they are not to be kept."""
        rules = self._rules()
        if not rules.take(query.id):
            return None
        return Transcript(self, query, time.time_ns() // 1000, rules.most_bytes)

    def put(self, text: Text) -> None:
        """Queue a row, or lose it where too much is waiting."""
        if self._waiting_bytes + len(text.content) > _MOST_WAITING_BYTES:
            self.lost += 1
            return
        self._waiting.append(text)
        self._waiting_bytes += len(text.content)
        if len(self._waiting) >= _A_BATCH:
            self._wake.set()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """While transcripts are kept; at the end, what is waiting is written if that can be done soon."""
        async with in_background(self._purge(), "transcripts, old"):
            try:
                async with in_background(self._write(), "transcripts"):
                    yield
            finally:
                try:
                    async with asyncio.timeout(_LAST_WORDS_S):
                        while self._waiting:
                            await self._batch()
                except (TimeoutError, DatabaseError, DatabaseUnavailable) as error:
                    self.lost += len(self._waiting)
                    _log.warning("%d questions and answers were not kept: %s", len(self._waiting), error)

    async def _write(self) -> None:
        wait_s = _LINGER_S
        while True:
            try:
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            try:
                while self._waiting:
                    await self._batch()
                wait_s = _LINGER_S
            except (DatabaseError, DatabaseUnavailable) as error:
                wait_s = min(_LONGEST_WAIT_S, 2 * wait_s)
                _log.warning("%d questions and answers wait to be kept: %s", len(self._waiting), error)

    async def _batch(self) -> None:
        batch = self._waiting[:_A_BATCH]
        rows = await asyncio.to_thread(lambda: [text.row() for text in batch])
        await self._store.keep(rows)
        del self._waiting[: len(batch)]
        self._waiting_bytes -= sum(len(text.content) for text in batch)
        self.kept += len(batch)

    async def _purge(self) -> None:
        while True:
            try:
                before_us = time.time_ns() // 1000 - self._rules().days * _DAY_US
                while await self._store.drop_before(before_us):
                    pass
            except (DatabaseError, DatabaseUnavailable) as error:
                _log.warning("transcripts that have had their time stay for now: %s", error)
            await asyncio.sleep(_PURGE_EVERY_S)
