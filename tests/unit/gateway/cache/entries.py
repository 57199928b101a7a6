"""Made-up cache entries."""

from typing import Any

from gateway.cache.cache import CacheEntry
from scorer.answer import Usage


def an_entry(**changes: Any) -> CacheEntry:
    """An answer that was accepted once."""
    values: dict[str, Any] = {
        "body": b'{"choices":[]}',
        "model": "small",
        "usage": Usage(prompt_tokens=10, completion_tokens=2),
        "score": 0.9,
        "scorer_version": "sc_1",
        "strategy_id": "st_1",
        "cost_nanousd": 2_700,
        "created_unix_s": 1_700_000_000.5,
    }
    return CacheEntry(**{**values, **changes})
