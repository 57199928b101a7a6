"""Why the scorer abstained from a request, and what verifiers said of an answer."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Towards the newest schema."""
    op.add_column("closings", sa.Column("abstention", sa.String(32), comment="why the scorer abstained, where it did"))
    told = "JSON list: what verifiers said of the answer; NULL: none was asked"
    op.add_column("settlements", sa.Column("verdicts", sa.Text(), comment=told))


def downgrade() -> None:
    """Back, keeping every row that the older schema can hold."""
    op.drop_column("settlements", "verdicts")
    op.drop_column("closings", "abstention")
