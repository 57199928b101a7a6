"""What modelled reference costs would have been, of requests that were asked in shadow."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_TABLES = ("request_rollups", "request_days")
_SAID = "of requests asked in shadow: what their reference would be taken to cost, had it not been asked"


def upgrade() -> None:
    """Towards the newest schema. Nothing was asked in shadow before: zero is exact."""
    for table in _TABLES:
        op.add_column(
            table, sa.Column("modelled_nanousd", sa.BigInteger(), nullable=False, server_default="0", comment=_SAID)
        )
        for name in ("modelled_squared", "modelled_by_reference"):
            op.add_column(table, sa.Column(name, sa.Double(), nullable=False, server_default="0"))


def downgrade() -> None:
    """Back to before."""
    for table in _TABLES:
        for name in ("modelled_by_reference", "modelled_squared", "modelled_nanousd"):
            op.drop_column(table, name)
