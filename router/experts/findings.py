"""What was found out about an endpoint by asking it, and what follows from that.

Knows words and their JSON. Knows no server.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Ability = Literal["output_limit", "usage", "logprobs", "n", "json_schema", "tools", "stream", "stream_usage"]
Verdict = Literal["yes", "no", "unknown"]

RELIED_ON: frozenset[Ability] = frozenset({"logprobs", "n", "json_schema", "tools", "output_limit"})
"""What a model that lacks it is not relied on for: requests that need one of the first four do not ask it, and what a
request says of its answer's length does not bound what a call of it can cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One ability. detail : what was seen; never a part of an answer's text."""

    ability: Ability
    verdict: Verdict
    detail: str = ""

    def as_json(self) -> dict[str, str]:
        """Plain values."""
        return {"ability": self.ability, "verdict": self.verdict, "detail": self.detail}


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """What a server says of itself, for nothing: no token is made.

    engine : told by its metrics' names, else by who it says owns its models; None where neither is known here.
    serves : the models that it lists; None where it lists none.
    context_tokens : of the model, None where it is not told.
    tokenizes : whether it counts a text's tokens.
    """

    engine: str | None = None
    serves: tuple[str, ...] | None = None
    context_tokens: int | None = None
    tokenizes: bool = False

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "engine": self.engine,
            "serves": None if self.serves is None else list(self.serves),
            "context_tokens": self.context_tokens,
            "tokenizes": self.tokenizes,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What came of probing one deployment of a model.   attempts : the calls that were made, by id."""

    model: str
    deployment: str
    looks: Looks
    findings: tuple[Finding, ...]
    attempts: tuple[str, ...] = ()

    @property
    def lacks(self) -> frozenset[Ability]:
        """What it was seen not to do. What could not be found out is left to the configuration."""
        return frozenset(finding.ability for finding in self.findings if finding.verdict == "no")

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "model": self.model,
            "deployment": self.deployment,
            "looks": self.looks.as_json(),
            "findings": [finding.as_json() for finding in self.findings],
            "attempts": list(self.attempts),
        }

    @classmethod
    def of_json(cls, told: Mapping[str, Any]) -> "Probed":
        """Of plain values, as ``as_json`` made them."""
        looks = told["looks"]
        return cls(
            model=told["model"],
            deployment=told["deployment"],
            looks=Looks(
                engine=looks["engine"],
                serves=None if looks["serves"] is None else tuple(looks["serves"]),
                context_tokens=looks["context_tokens"],
                tokenizes=looks["tokenizes"],
            ),
            findings=tuple(Finding(**finding) for finding in told["findings"]),
            attempts=tuple(told["attempts"]),
        )
