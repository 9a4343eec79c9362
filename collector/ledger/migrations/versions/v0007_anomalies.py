"""What looked wrong about the answers. Until now only the log had it, so there is nothing to take over."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("slice", sa.Column("anomalies", sa.Text))
