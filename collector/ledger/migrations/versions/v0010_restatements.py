"""What restatements replaced. Those of before are not known: `ledger.restated_from` is the instant up to which."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table, and note up to when it knows nothing: null in a ledger that never had a slice."""
    org = sa.ForeignKey("org.id", name="restatement_org", ondelete="CASCADE")
    file = sa.ForeignKey("file.id", name="restatement_file", ondelete="SET NULL")
    op.create_table(
        "restatement",
        sa.Column("org", sa.Integer, org, primary_key=True),
        sa.Column("population", sa.SmallInteger, primary_key=True),
        sa.Column("start", sa.BigInteger, primary_key=True),
        sa.Column("at", sa.BigInteger, primary_key=True),
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("replaced", sa.Text, nullable=False),
        sa.Column("file", sa.Integer, file),
        sqlite_with_rowid=False,
    )
    in_file = sa.text("file IS NOT NULL")
    op.create_index("restatement_in_file", "restatement", ["file"], sqlite_where=in_file, postgresql_where=in_file)
    op.add_column("ledger", sa.Column("restated_from", sa.BigInteger))
    ledger = sa.table("ledger", sa.column("restated_from"))
    slice_ = sa.table("slice", sa.column("asked_at"))
    op.execute(sa.update(ledger).values(restated_from=sa.select(sa.func.max(slice_.c.asked_at)).scalar_subquery()))
