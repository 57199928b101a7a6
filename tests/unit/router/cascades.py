"""Scripted models, scorers and logs for tests of cascades: what happens is known before and recorded after."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from router.backends.backend import Call, Chunk, Reply
from router.backends.pool import Pool, PoolRules
from router.backends.retries import RetryRules
from router.cascade import Cascade
from router.errors import BackendError
from router.judging import AnswerScorer
from router.outcome import Attempt, Outcome
from router.strategy import Stage, Strategy
from router.trial import Opening
from scorer.answer import Answer, Query, Usage
from scorer.familiarity import Doubt
from tests.wire import chunk_of

QUERY = Query(id="q", messages=({"role": "user", "content": "?"},))
ONCE = PoolRules(retries=RetryRules(most=0))
COUNTS = Usage(prompt_tokens=10, completion_tokens=2)


@dataclass
class Model:
    """Says its name's text; or fails, after some words if told; or hangs until it is cancelled or let go."""

    model: str
    error: Exception | None = None
    words: int = 2  # chunks with text, of which the client sees each
    hangs_after: int | None = None  # chunks; 0 also hangs a call that does not stream
    told_usage: Usage | None = None  # in every chunk
    calls: list[Call] = field(default_factory=list)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    released: int = 0  # how many calls have let go of their connection

    @property
    def reply(self) -> Reply:
        answer = Answer(model=self.model, text=f"from {self.model}")
        return Reply(answer=answer, usage=COUNTS, body={"model": self.model}, latency_s=0.5, first_token_s=0.1)

    async def complete(self, call: Call) -> Reply:
        self.calls.append(call)
        self.reached.set()
        try:
            if self.hangs_after is not None:
                await asyncio.Event().wait()
            if self.error is not None:
                raise self.error
            return self.reply
        finally:
            self.released += 1

    async def stream(self, call: Call) -> AsyncGenerator[Chunk]:
        self.calls.append(call)
        try:
            yield Chunk(body=chunk_of({"role": "assistant", "content": ""}))
            for n in range(self.words):
                await self._hang_if(n)
                yield Chunk(body=chunk_of({"content": self.model}), usage=self.told_usage)
            await self._hang_if(self.words)
            if self.error is not None:
                raise self.error
            yield Chunk(body=None, reply=self.reply, usage=COUNTS)
        finally:
            self.released += 1

    async def _hang_if(self, n: int) -> None:
        if self.hangs_after == n:
            self.reached.set()
            await asyncio.Event().wait()

    async def aclose(self) -> None: ...


@dataclass
class Scores:
    """Gives each model's answers a fixed score, or raises."""

    by_model: dict[str, float | Exception]
    version: str = "v"
    asked: list[tuple[str, list[str]]] = field(default_factory=list)
    doubts: Doubt | Exception | None = None

    def doubt(self, query: Query, rate: float) -> Doubt | None:
        if isinstance(self.doubts, Exception):
            raise self.doubts
        return self.doubts if rate > 0 else None

    def score(self, query: Query, answer: Answer, others: Sequence[Answer]) -> float:
        self.asked.append((answer.model, [other.model for other in others]))
        score = self.by_model[answer.model]
        if isinstance(score, Exception):
            raise score
        return score


@dataclass
class Log:
    """Keeps what was opened and closed; may refuse a model, or hang while opening."""

    refuses: dict[str, Exception] = field(default_factory=dict)
    hangs: bool = False
    opened: list[Opening] = field(default_factory=list)
    closed: list[Attempt] = field(default_factory=list)
    opening: asyncio.Event = field(default_factory=asyncio.Event)

    async def open(self, opening: Opening) -> None:
        self.opening.set()
        if self.hangs:
            await asyncio.Event().wait()
        if opening.model in self.refuses:
            raise self.refuses[opening.model]
        self.opened.append(opening)

    def close(self, attempt: Attempt) -> None:
        self.closed.append(attempt)

    @property
    def states(self) -> list[tuple[str, str]]:
        return [(attempt.model, attempt.state) for attempt in self.closed]


def strategy(*stages: tuple[str, float | None], safe: str | None = None) -> Strategy:
    return Strategy(
        id="st_1",
        kind="threshold",
        stages=tuple(Stage(model=model, threshold=threshold) for model, threshold in stages),
        reference_model=stages[-1][0],
        safe_model=safe or stages[-1][0],
        scorer_version="v",
        evidence=None,
        created="2026-01-01T00:00:00Z",
    )


@dataclass(kw_only=True)
class Ran:
    """A run that came to its end."""

    chunks: list[Chunk]
    outcome: Outcome
    log: Log

    @property
    def answered(self) -> str | None:
        return None if self.outcome.answered is None else self.outcome.answered.model


async def run(
    models: Sequence[Model],
    plan: Strategy,
    scorer: AnswerScorer | None,
    *,
    log: Log | None = None,
    live: bool = False,
    timeout_s: float | None = None,
    unlike_rate: float = 0.01,
    fallbacks: Sequence[str] = (),
    pools: Mapping[str, Pool] | None = None,
    **body: Any,
) -> Ran:
    log = log or Log()
    cascade = cascade_of(*models) if pools is None else Cascade(pools)
    call = Call(request_id="dec_1", body={"messages": list(QUERY.messages), **body}, timeout_s=timeout_s)
    running = cascade.run(QUERY, call, plan, scorer, log, live=live, fallbacks=fallbacks, unlike_rate=unlike_rate)
    async with aclosing(running) as results:
        got = [result async for result in results]
    *chunks, outcome = got
    assert isinstance(outcome, Outcome)
    return Ran(chunks=[chunk for chunk in chunks if isinstance(chunk, Chunk)], outcome=outcome, log=log)


def cascade_of(*models: Model) -> Cascade:
    """Of models that are called once."""
    return Cascade({model.model: Pool.of(model, rules=ONCE) for model in models})


def failing(model: str) -> Model:
    return Model(model, error=BackendError(model, "out of order"), words=0)
