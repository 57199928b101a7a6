"""A policy's verifiers, asked about one answer from cheap to dear.

Knows the order, the time that each has, and that nothing they do costs the client an answer. The first that fails an
answer ends it: no dearer one is asked.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from router.errors import RouterError
from router.outcome import Verdict
from router.verifiers.verifier import Consult, Finding, Verifier, abstain
from scorer.answer import Answer, Query

_telemetry = logging.getLogger(__name__)

KINDS = ("json_schema", "regex", "python", "webhook", "judge")
"""From cheap to dear."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """One verifier of a policy. passing : whether its pass accepts an answer or leaves that to the scorer."""

    name: str
    kind: str
    verifier: Verifier
    passing: Literal["accept", "score"] = "score"
    timeout_s: float = 5.0


class Gate:
    """refuses : whether an answer that failed is refused where there is none that did not, or returned and marked."""

    def __init__(self, guards: Sequence[Guard], *, refuses: bool = False) -> None:
        self._guards = sorted(guards, key=lambda guard: KINDS.index(guard.kind))
        self._accepting = frozenset(guard.name for guard in guards if guard.passing == "accept")
        self.refuses = refuses

    @property
    def names(self) -> tuple[str, ...]:
        """In the order in which they are asked."""
        return tuple(guard.name for guard in self._guards)

    def accepts(self, verdicts: Sequence[Verdict]) -> bool:
        """Whether the answer is accepted without a score: none failed it, and a pass of one of them suffices."""
        if any(verdict.verdict == "fail" for verdict in verdicts):
            return False
        return any(verdict.verdict == "pass" and verdict.verifier in self._accepting for verdict in verdicts)

    async def check(
        self, query: Query, answer: Answer, consult: Consult, left_s: float | None = None
    ) -> tuple[Verdict, ...]:
        """What each says, as far as it was asked. left_s : what the request has left. Raises nothing."""
        verdicts: list[Verdict] = []
        began = time.monotonic()
        for guard in self._guards:
            left = None if left_s is None else left_s - (time.monotonic() - began)
            started = time.monotonic()
            found = await self._asked(guard, query, answer, consult, left)
            verdicts.append(
                Verdict(
                    verifier=guard.name,
                    kind=guard.kind,
                    verdict=found.said,
                    reason=found.reason,
                    latency_s=time.monotonic() - started,
                )
            )
            if found.said == "fail":
                break
        return tuple(verdicts)

    async def _asked(
        self, guard: Guard, query: Query, answer: Answer, consult: Consult, left_s: float | None
    ) -> Finding:
        seconds = guard.timeout_s if left_s is None else min(guard.timeout_s, left_s)
        if seconds <= 0:
            return abstain("the request's time was up")
        try:
            async with asyncio.timeout(seconds):
                return await guard.verifier.verify(query, answer, consult)
        except TimeoutError:
            return abstain(f"no verdict within {seconds:.3g} s")
        except RouterError as error:
            return abstain(f"{type(error).__name__}"[:200])
        except Exception:  # noqa: BLE001  somebody's verifier must not cost the client its answer
            _telemetry.exception("the verifier %s failed", guard.name)
            return abstain("it raised an error")
