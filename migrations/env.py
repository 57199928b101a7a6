"""How Alembic reaches the database: over the connection that Database.migrate hands in, or over a URL of its own.

Knows the tables, so that new migrations can be drafted from them. Knows no lock: whoever opens the connection takes it.
"""

import asyncio

from alembic import context
from sqlalchemy import Connection

import gateway.budgets.tables
import gateway.canaries.store
import gateway.experts.tables
import gateway.idempotency.tables
import gateway.ledger.reconcile.store
import gateway.ledger.rollups.tables
import gateway.ledger.tables
import gateway.tenancy.tables
import gateway.transcripts.store  # noqa: F401 - imported for the tables that they add to the metadata
from gateway.database import Database, metadata
from gateway.ledger.partitions import is_our_own


def run(connection: Connection) -> None:
    """Run what Alembic was asked to run on an open connection, in that connection's transaction."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        transactional_ddl=True,  # SQLite can, whatever Alembic assumes of it: a migration happens wholly or not at all
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
        include_object=is_our_own,
    )
    with context.begin_transaction():
        context.run_migrations()


async def run_from_command_line() -> None:
    """For `alembic -c migrations/alembic.ini -x url=sqlite:///draft.db revision --autogenerate -m "what changes"`."""
    database = Database(context.get_x_argument(as_dictionary=True).get("url", "sqlite:///draft.db"))
    async with database.write() as connection:
        await connection.run_sync(run)
    await database.dispose()


handed_in = context.config.attributes.get("connection")
if handed_in is not None:
    run(handed_in)
else:
    asyncio.run(run_from_command_line())
