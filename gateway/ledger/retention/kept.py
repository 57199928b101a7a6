"""Whether what is asked for is still there row by row.

Knows one row of state, and how a refusal is said.
"""

from datetime import UTC, datetime

from sqlalchemy import select

from gateway.database import Database
from gateway.errors import InvalidRequest
from gateway.ledger.retention.spans import first_moment_us
from gateway.ledger.tables import retention_state


async def must_be_kept(database: Database, since_us: int | None, *, tags: bool = False) -> None:
    """Raises InvalidRequest where rows from then on, or with ``tags`` their tags, were dropped in part."""
    async with database.read() as connection:
        state = (await connection.execute(select(retention_state))).one()
    kept_us = first_moment_us(state.announced_month) if state.announced_month else 0
    if tags:
        kept_us = max(kept_us, state.details_from_us)
    if (since_us or 0) < kept_us:
        kept = datetime.fromtimestamp(kept_us / 1_000_000, UTC)
        what = "tags of single requests" if tags else "single requests"
        said = (
            f"since: {what} from before {kept:%Y-%m-%d %H:%M} UTC were dropped; name a later moment, or ask for hours"
        )
        raise InvalidRequest(said, param="since", code="invalid_parameter")
