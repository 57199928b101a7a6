"""How an entry travels to a cache outside this process."""

import orjson
import pytest

from gateway.cache.cache import CacheEntry, CacheEntryError
from tests.unit.gateway.cache.entries import an_entry


@pytest.mark.parametrize("entry", [an_entry(), an_entry(usage=None, score=None, cost_nanousd=None, body=b'"\n"')])
def test_an_entry_travels_as_bytes(entry: CacheEntry) -> None:
    assert CacheEntry.decode(entry.encode()) == entry


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]\n{}", b"{}\n{}", b'{"format":2}\n{}', b'{"format":1,"usage":null}\n']
)
def test_other_bytes_are_no_entry(data: bytes) -> None:
    with pytest.raises(CacheEntryError):
        CacheEntry.decode(data)


@pytest.mark.parametrize(
    ("field", "value"),
    [("model", 3), ("score", "0.9"), ("scorer_version", []), ("created_unix_s", None), ("cost_nanousd", {})],
)
def test_a_field_of_another_kind_is_no_entry(field: str, value: object) -> None:
    head, _, body = an_entry().encode().partition(b"\n")
    changed = orjson.dumps(orjson.loads(head) | {field: value}) + b"\n" + body
    with pytest.raises(CacheEntryError):
        CacheEntry.decode(changed)
