"""No copy of smaller answers: nothing showed it. The log and the manifest name them (`answer.suspicious`, `shrunk`)."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Drop the column."""
    op.drop_column("slice", "shrunk")
