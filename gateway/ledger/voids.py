"""When certificates did not hold: requests whose strategy was not carried out as it was certified, by day and reason.

Knows the tag by which such requests are known. Knows no certificate.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime

from gateway.database import Database
from gateway.ledger.reports import Span
from gateway.ledger.rollups.reading import Sums, coverage
from gateway.ledger.rollups.sources import BY_DAY
from gateway.ledger.rollups.tables import request_rollups

TAG = "spillway.certificate"


async def read_voids(database: Database, span: Span, told: list[str] | None = None) -> Mapping[date, Mapping[str, int]]:
    """Requests by day of UTC and reason. Raises DatabaseUnavailable, or DatabaseError where the schema is not there."""
    async with database.read() as connection:
        covered = await coverage(connection, span.since_us, span.until_us)
        sums = Sums(connection, covered, sqlite=database.is_sqlite, told=told)
        groups = await sums.of(request_rollups, [BY_DAY, "tag_value"], ["requests"], span.conditions(), TAG)
    found: dict[date, dict[str, int]] = {}
    for (day_us, reason), values in sorted(groups.items()):
        day = datetime.fromtimestamp(int(day_us) // 1_000_000, UTC).date()
        found.setdefault(day, {})[str(reason).removeprefix("void: ")] = int(values["requests"])
    return found
