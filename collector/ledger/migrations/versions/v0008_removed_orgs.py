"""Which orgs the config no longer has, and which of them a person has forgotten.

No org of an older ledger counts as removed: from the next run on, it is known which config has which.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    op.add_column("org", sa.Column("config", sa.String(32)))
    op.add_column("org", sa.Column("removed_at", sa.BigInteger))
    op.add_column("org", sa.Column("forgotten_at", sa.BigInteger))
