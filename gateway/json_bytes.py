"""JSON for the wire and the log: quick where it can be, and never a failure where it cannot.

Knows that orjson refuses what models and clients do send: half a surrogate pair, integers beyond 64 bits.
"""

import json
from collections.abc import Mapping
from typing import Any

import orjson


def encode(body: Mapping[str, Any]) -> bytes:
    """The object as UTF-8 JSON on one line; what orjson refuses is escaped, and what is no JSON becomes a string."""
    try:
        return orjson.dumps(body, default=str)
    except TypeError:
        return json.dumps(body, default=str).encode()
