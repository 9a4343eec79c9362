"""The id of the ledger, and where its records go.

The id of an older ledger follows from its first run, so that each backup of it gets the same one.
"""

import hashlib
import secrets

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, and the id."""
    ledger = op.create_table("ledger", sa.Column("id", sa.String(32), primary_key=True))
    op.create_table(
        "output",
        sa.Column("path", sa.Text, primary_key=True),
        sa.Column("directory_id", sa.String(64), primary_key=True),
        sa.Column("host", sa.Text, primary_key=True),
        sa.Column("shard", sa.Text, primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    run = sa.table("run", sa.column("run_id"), sa.column("started_at"))
    first = op.get_bind().scalar(sa.select(run.c.run_id).order_by(run.c.started_at, run.c.run_id).limit(1))
    id_ = hashlib.sha256(first.encode()).hexdigest()[:32] if first else secrets.token_hex(16)
    op.execute(sa.insert(ledger).values(id=id_))
