"""Asking a deployment what it can do: each question a call that is reserved before and settled after, as all calls are.

Knows questions, backends and logs. What a server says of itself for nothing is in ``looking.py``.
"""

from collections.abc import Sequence
from contextlib import aclosing

from router.attempting import attempted
from router.backends.backend import Backend, Call, Chunk, Reply
from router.errors import (
    BackendBroken,
    BackendBusy,
    BackendError,
    BackendMissing,
    BackendNonsense,
    BackendRefused,
    BackendUnauthorized,
    BackendUnreachable,
    ProbeFailed,
)
from router.experts.findings import Finding, Verdict
from router.experts.questions import QUESTIONS, Question
from router.ids import new_id
from router.trial import AttemptLog, Opening, Trial

_GIVES_UP = (BackendUnreachable, BackendUnauthorized, BackendMissing, BackendBusy)


class Probing:
    """Probes one deployment.   attempts : the calls made so far, by id."""

    def __init__(self, backend: Backend, log: AttemptLog, *, deployment: str | None, timeout_s: float) -> None:
        self._backend, self._log, self._deployment, self._timeout_s = backend, log, deployment, timeout_s
        self.attempts: list[str] = []

    async def findings(self, questions: Sequence[Question] = QUESTIONS) -> tuple[Finding, ...]:
        """What is found. Raises ProbeFailed, or what a log refuses with."""
        found: list[Finding] = []
        for question in questions:
            try:
                reply, chunks = await self._ask(question)
            except _GIVES_UP as error:
                raise ProbeFailed(str(error)) from error
            except BackendRefused as error:
                told = f"it was refused: {error.message}"
                found += [Finding(ability=ability, verdict="no", detail=told) for ability in question.abilities]
            except BackendError as error:
                told = f"the call failed: {error.message}"
                broken = question.streamed and isinstance(error, BackendBroken | BackendNonsense)
                verdict: Verdict = "no" if broken else "unknown"
                found += [Finding(ability=ability, verdict=verdict, detail=told) for ability in question.abilities]
            else:
                found += question.judge(reply, chunks)
        return tuple(found)

    async def _ask(self, question: Question) -> tuple[Reply, list[Chunk]]:
        opening = Opening(
            attempt_id=new_id("att"),
            stage=0,
            model=self._backend.model,
            deployment=self._deployment,
            kind="probe",
            body=question.body,
        )
        self.attempts.append(opening.attempt_id)
        call = Call(
            request_id=opening.attempt_id,
            body=question.body,
            timeout_s=self._timeout_s,
            attempt_id=opening.attempt_id,
        )
        chunks: list[Chunk] = []
        asking = (lambda: self._streamed(call, chunks)) if question.streamed else (lambda: self._backend.complete(call))
        return await attempted(self._log, Trial(opening=opening, threshold=None), asking), chunks

    async def _streamed(self, call: Call, chunks: list[Chunk]) -> Reply:
        async with aclosing(self._backend.stream(call)) as stream:
            chunks.extend([chunk async for chunk in stream])
        reply = chunks[-1].reply if chunks else None
        assert reply is not None  # noqa: S101 (a backend's promise)
        return reply
