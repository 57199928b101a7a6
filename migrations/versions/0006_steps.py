"""How plans decided: what was believed and expected before every call of a request, kept with its closing."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_SAID = "JSON: what a plan believed and expected before every call and at its end"


def upgrade() -> None:
    """Towards the newest schema."""
    op.add_column("closings", sa.Column("steps", sa.Text(), comment=_SAID))


def downgrade() -> None:
    """Back, without how plans decided."""
    with op.batch_alter_table("closings") as closings:
        closings.drop_column("steps")
