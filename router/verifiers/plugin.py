"""A Python callable of an installed package, by its name in the entry point group ``spillway.verifiers``.

It is called with a query and an answer, both of ``scorer.answer``, and returns True (pass), False (fail),
None (abstain) or one of these words. It may be a coroutine function. Any other runs in a thread, which goes on when
its time is up.
"""

import asyncio
import inspect
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

from router.errors import VerifierError
from router.verifiers.verifier import Consult, Finding, abstain
from scorer.answer import Answer, Query

GROUP = "spillway.verifiers"


class PluginVerifier:
    """call : see above."""

    def __init__(self, call: Callable[[Query, Answer], Any]) -> None:
        self._call = call

    @classmethod
    def named(cls, name: str) -> "PluginVerifier":
        """Raises VerifierError where no installed package offers the name, or what it offers cannot be loaded."""
        offered = entry_points(group=GROUP)
        if name not in offered.names:
            known = ", ".join(sorted(offered.names)) or "none"
            raise VerifierError(f"no installed package offers {name!r} in {GROUP}; there are: {known}")
        try:
            return cls(offered[name].load())
        except Exception as error:
            raise VerifierError(f"{name!r} cannot be loaded: {type(error).__name__}: {error}") from error

    async def verify(self, query: Query, answer: Answer, consult: Consult) -> Finding:
        """Call it."""
        if inspect.iscoroutinefunction(self._call):
            said = await self._call(query, answer)
        else:
            said = await asyncio.to_thread(self._call, query, answer)
        if said is True or said == "pass":
            return Finding(said="pass")
        if said is False or said == "fail":
            return Finding(said="fail", reason="the callable says so")
        return abstain("the callable abstains" if said in (None, "abstain") else "the callable returned something else")
