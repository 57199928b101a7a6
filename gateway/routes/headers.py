"""The headers in which an answer tells how it came about.

Knows their names and that nothing in a value may end a header. Makes no decision.
"""

import re
from collections.abc import Iterator, Mapping

from gateway.errors import InvalidRequest
from gateway.exchange import Decision

_UNSAFE = re.compile(r"[^\x20-\x7e]")
_LONGEST_KEY = 255


def safe(value: str) -> str:
    """A value that cannot begin another header, whatever it came from."""
    return _UNSAFE.sub("?", value)


def decision_headers(decision: Decision) -> dict[str, str]:
    """What is known of a decision when headers go out; what is not known yet, or does not apply, is left out."""
    shown = {name: f"{value:.6f}" if isinstance(value, float) else str(value) for name, value in _known(decision)}
    headers = {"x-spillway-" + name.replace("_", "-"): safe(value) for name, value in shown.items()}
    return {"x-request-id": decision.id} | dict(decision.rates) | headers


def decision_fields(decision: Decision) -> dict[str, str | int | float]:
    """The same for a stream whose headers had to go out before the decision was known."""
    return dict(_known(decision))


def _known(decision: Decision) -> Iterator[tuple[str, str | int | float]]:
    values: dict[str, str | int | float | None] = {
        "decision_id": decision.id,
        "policy": decision.policy,
        "strategy": decision.strategy_id,
        "model": decision.model,
        "tier": decision.tier,
        "score": decision.score,
        "threshold": decision.threshold,
        "stop_reason": decision.stop_reason,
        "abstained": decision.abstention,
        "verifiers": ", ".join(f"{each.verifier}={each.verdict}" for each in decision.verdicts) or None,
        "cache": decision.cache,
        "cost_usd": decision.spent.usd if decision.spent else None,
        "pressure": decision.pressure,
        "budget": "exhausted" if decision.stop_reason == "budget_exhausted" else None,
        "dropped": ", ".join(decision.dropped) or None,
        "clamped": ", ".join(decision.clamped) or None,
        "certificate": decision.certificate,
        "streaming": decision.streaming,
        "sticky": decision.sticky,
        "replayed": "true" if decision.replayed else None,
    }
    return ((name, value) for name, value in values.items() if value is not None)


def key_given(headers: Mapping[str, str]) -> str | None:
    """The ``Idempotency-Key``, None if there is none. Raises InvalidRequest."""
    told = headers.get("idempotency-key")
    if told is not None and (not 1 <= len(told) <= _LONGEST_KEY or _UNSAFE.search(told)):
        said = f"Idempotency-Key must have 1 to {_LONGEST_KEY} printable ASCII characters."
        raise InvalidRequest(said, param="Idempotency-Key", code="invalid_parameter")
    return told


def timeout_wished(headers: Mapping[str, str]) -> float | None:
    """The seconds that a client gives its request (``x-request-timeout``), None if it does not say."""
    told = headers.get("x-request-timeout")
    if told is None:
        return None
    try:
        seconds = float(told)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        said = "x-request-timeout must be a number of seconds above 0."
        raise InvalidRequest(said, param="x-request-timeout", code="invalid_parameter")
    return seconds
