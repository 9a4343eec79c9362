"""The rules of the time zone by which each calendar's boundaries were last compared."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; it is null in existing rows, so that the next run compares."""
    op.add_column("calendar", sa.Column("rules", sa.String(64)))
