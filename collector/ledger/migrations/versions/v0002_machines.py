"""A ledger that machines share: where an unsealed file lies, and holders that outlive a restart of the server."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; of what is there, nothing is known of them."""
    op.add_column("holder", sa.Column("server", sa.Text))
    op.add_column("holder", sa.Column("missed_since", sa.BigInteger))
    op.add_column("file", sa.Column("host", sa.Text))
    op.add_column("file", sa.Column("place", sa.String(64)))
