"""The processes that wait for an org's lease, and the rules of time zones.

A process that has the lease leaves the org to those that wait, after a batch. The rules are those by which each
calendar's boundaries were last compared; they are null in existing rows, so that the next run compares.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table, and add the column."""
    holder = sa.ForeignKey("holder.holder_id", name="waiter_holder", ondelete="CASCADE")
    op.create_table(
        "waiter",
        sa.Column("org", sa.Integer, sa.ForeignKey("org.id", name="waiter_org", ondelete="CASCADE"), primary_key=True),
        sa.Column("holder", sa.String(64), holder, primary_key=True),
        sqlite_with_rowid=False,
    )
    op.add_column("calendar", sa.Column("rules", sa.String(64)))
