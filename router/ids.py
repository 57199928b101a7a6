"""Identifiers that sort by time: a UUID version 7 behind a prefix that says what it names.

Knows only how to make them and how to read their time back.
"""

import os
import time
import uuid
from datetime import UTC, datetime


def new_id(prefix: str) -> str:
    """A fresh identifier such as ``dec_0193…``: 48 bits of Unix milliseconds, then 74 random bits (RFC 9562)."""
    milliseconds = time.time_ns() // 1_000_000
    value = milliseconds << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) & ~(0b11 << 62) | 0x7 << 76 | 0b10 << 62
    return f"{prefix}_{uuid.UUID(int=value).hex}"


def created_at(identifier: str) -> datetime:
    """The moment at which ``new_id`` made the identifier. Raises ValueError if it is none of its."""
    value = uuid.UUID(hex=identifier.rpartition("_")[2])
    if value.version != 7:
        raise ValueError(f"{identifier!r} carries no time")
    return datetime.fromtimestamp((value.int >> 80) / 1000, tz=UTC)
