"""The records of unsealed files whose place has no files that grow: an object store, or a table of a database."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "outbox",
        sa.Column(
            "file", sa.Integer, sa.ForeignKey("file.id", name="outbox_file", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("start", sa.BigInteger, primary_key=True),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
