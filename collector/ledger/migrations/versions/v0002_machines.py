"""A ledger shared by machines: the directory of an unsealed file, and holders that survive a server restart."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; they are null in existing rows."""
    op.add_column("holder", sa.Column("server", sa.Text))
    op.add_column("holder", sa.Column("missed_since", sa.BigInteger))
    op.add_column("file", sa.Column("host", sa.Text))
    op.add_column("file", sa.Column("place", sa.String(64)))
