"""The first version: all tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create all tables."""
    op.create_table(
        "holder",
        sa.Column("holder_id", sa.String(64), primary_key=True),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("pid", sa.BigInteger, nullable=False),
        sa.Column("command", sa.Text, nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "org",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("org_id", sa.Text),
        sa.Column("org_name", sa.Text),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("wanted_from", sa.BigInteger, nullable=False),
        sa.Column("holder", sa.String(64), sa.ForeignKey("holder.holder_id", name="org_holder", ondelete="SET NULL")),
        sa.UniqueConstraint("org_id", name="org_org_id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "alias",
        sa.Column("name", sa.Text, primary_key=True),
        _org("alias"),
        sa.Column("fingerprint", sa.String(64)),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "calendar",
        _org("calendar", primary_key=True),
        sa.Column("since", sa.BigInteger, primary_key=True),
        sa.Column("zone", sa.Text, nullable=False),
        sa.Column("granularity", sa.String(16), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "wanted",
        _org("wanted", primary_key=True),
        sa.Column("start", sa.BigInteger, primary_key=True),
        sa.Column("end", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "run",
        sa.Column("run_id", sa.String(64), primary_key=True),
        sa.Column("command", sa.Text, nullable=False),
        sa.Column("holder", sa.String(64), sa.ForeignKey("holder.holder_id", name="run_holder", ondelete="SET NULL")),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("exit_code", sa.SmallInteger),
    )
    op.create_table(
        "file",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("directory", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("records", sa.BigInteger, nullable=False),
        sa.Column("seal_intended", sa.Boolean, nullable=False),
        sa.Column("holder", sa.String(64), sa.ForeignKey("holder.holder_id", name="file_holder", ondelete="SET NULL")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "slice",
        sa.Column("org", sa.Integer, sa.ForeignKey("org.id", name="slice_org"), primary_key=True),
        sa.Column("population", sa.SmallInteger, primary_key=True),
        sa.Column("start", sa.BigInteger, primary_key=True),
        sa.Column("end", sa.BigInteger, nullable=False),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("code", sa.String(64)),
        sa.Column("asked_at", sa.BigInteger, nullable=False),
        sa.Column("complete_at", sa.BigInteger),
        sa.Column("emission", sa.Text),
        sa.Column("shrunk", sa.Text),
        sa.Column("file", sa.Integer, sa.ForeignKey("file.id", name="slice_file")),
        sa.Column("prior", sa.Text),
        sqlite_with_rowid=False,
    )
    in_file = sa.text("file IS NOT NULL")
    op.create_index("slice_in_file", "slice", ["file"], sqlite_where=in_file, postgresql_where=in_file)


def _org(table: str, *, primary_key: bool = False) -> sa.Column[int]:
    return sa.Column(
        "org",
        sa.Integer,
        sa.ForeignKey("org.id", name=f"{table}_org", ondelete="CASCADE"),
        primary_key=primary_key,
        nullable=False,
    )
