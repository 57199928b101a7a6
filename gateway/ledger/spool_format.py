"""Groups of rows as lines of JSON and back, as they lie in a spool.

Knows the shapes. A price stays behind: its version, and what was computed with it, are there.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson

from gateway.ledger.billing import Line, Reservation, Settlement
from gateway.ledger.entry import RequestClosing, RequestRecord
from gateway.ledger.group import Group
from scorer.answer import Usage


def encode(group: Group) -> bytes:
    """One line, without its end."""
    content = {
        "requests": [_plain(record) for record in group.requests],
        "reservations": [_reservation(item) for item in group.reservations],
        "settlements": [[moment, _settlement(item)] for moment, item in group.settlements],
        "closings": [[moment, _plain(item)] for moment, item in group.closings],
    }
    return orjson.dumps(content, default=_odd)


def decode(line: bytes) -> Group:
    """The group of a line; what was called while the database was away is marked so."""
    content = orjson.loads(line)
    return Group(
        requests=[_record(values) for values in content["requests"]],
        reservations=[Reservation(**values, price=None) for values in content["reservations"]],
        settlements=[(moment, _read_settlement(values)) for moment, values in content["settlements"]],
        closings=[(moment, RequestClosing(**values)) for moment, values in content["closings"]],
    )


def _plain(item: Any) -> dict[str, Any]:
    return {name: getattr(item, name) for name in item.__dataclass_fields__}


def _reservation(item: Reservation) -> dict[str, Any]:
    values = _plain(item)
    del values["price"]
    return values


def _settlement(item: Settlement) -> dict[str, Any]:
    return {
        **_plain(item),
        "reservation": _reservation(item.reservation),
        "lines": [_plain(line) for line in item.lines],
        "usage": None if item.usage is None else _plain(item.usage),
    }


def _odd(value: object) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    return str(value)


def _record(values: Mapping[str, Any]) -> RequestRecord:
    return RequestRecord(**{**values, "created": datetime.fromisoformat(values["created"])})


def _read_settlement(values: Mapping[str, Any]) -> Settlement:
    usage = values["usage"]
    return Settlement(
        **{
            **values,
            "reservation": Reservation(**values["reservation"], price=None),
            "lines": tuple(_line(line) for line in values["lines"]),
            "usage": None if usage is None else Usage(**usage),
        }
    )


def _line(values: Mapping[str, Any]) -> Line:
    rate = values["rate_usd"]
    return Line(**{**values, "rate_usd": None if rate is None else Decimal(rate)})


def as_spooled(group: Group) -> Group:
    """The same, its openings marked as made while the database was away."""
    return replace(group, reservations=[replace(item, spooled=True) for item in group.reservations])
