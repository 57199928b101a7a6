"""A completion as bytes and back: what a repetition of its request gets.

Knows the shape of a decision. What was told of rates is not kept: it held for the moment.
"""

from dataclasses import asdict
from datetime import datetime

import orjson

from gateway.exchange import Completion, Decision
from gateway.ledger.entry import Spent
from router.outcome import Verdict
from scorer.answer import Usage

_FORMAT = 1


def encode(completion: Completion) -> bytes | None:
    """None where the answer holds what JSON cannot say, such as half a surrogate pair."""
    told = asdict(completion.decision) | {"rates": {}}
    usage = None if completion.usage is None else asdict(completion.usage)
    try:
        return orjson.dumps({"format": _FORMAT, "decision": told, "usage": usage, "body": completion.body})
    except TypeError:
        return None


def decode(data: bytes) -> Completion | None:
    """What ``encode`` made; None where it is of another version's format."""
    found = orjson.loads(data)
    if found.get("format") != _FORMAT:
        return None
    told = found["decision"]
    told["created"] = datetime.fromisoformat(told["created"])
    told["spent"] = None if told["spent"] is None else Spent(**told["spent"])
    told["verdicts"] = tuple(Verdict(**verdict) for verdict in told["verdicts"])
    told |= {name: tuple(told[name]) for name in ("dropped", "clamped")}
    return Completion(
        decision=Decision(**told | {"replayed": True}),
        body=found["body"],
        usage=None if found["usage"] is None else Usage(**found["usage"]),
    )
