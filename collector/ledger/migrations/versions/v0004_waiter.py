"""The processes that wait for the lease of an org: the one that has the lease leaves the org to them after a batch."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    holder = sa.ForeignKey("holder.holder_id", name="waiter_holder", ondelete="CASCADE")
    op.create_table(
        "waiter",
        sa.Column("org", sa.Integer, sa.ForeignKey("org.id", name="waiter_org", ondelete="CASCADE"), primary_key=True),
        sa.Column("holder", sa.String(64), holder, primary_key=True),
        sqlite_with_rowid=False,
    )
