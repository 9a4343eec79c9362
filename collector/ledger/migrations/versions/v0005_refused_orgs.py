"""The orgs that are refused: since when, why, and by which credential.

Until now only the states of slices showed it, and a complete slice that is fetched again in vain stays complete. Of an
org whose last fetch was refused, its slices show since when and why.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_REASONS = ("credential", "not_admin", "permission", "forbidden", "identity", "calendar", "duplicate")


def upgrade() -> None:
    """Create the table, and fill it with what the slices show."""
    name = sa.ForeignKey("alias.name", name="refusal_alias", ondelete="CASCADE")
    op.create_table(
        "refusal",
        sa.Column("name", sa.Text, name, primary_key=True),
        sa.Column("reason", sa.String(64), nullable=False),
        sa.Column("message", sa.Text),
        sa.Column("fingerprint", sa.String(64)),
        sa.Column("first_at", sa.BigInteger, nullable=False),
        sa.Column("last_at", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    codes = ", ".join(f"'refused_{reason}'" for reason in _REASONS)
    op.execute(
        f"""
        INSERT INTO refusal (name, reason, fingerprint, first_at, last_at)
        SELECT org.name, substr(max(newest.code), 9), max(alias.fingerprint),
            min(refused.asked_at), max(newest.asked_at)
        FROM org
        JOIN alias ON alias.name = org.name AND alias.org = org.id
        JOIN slice AS newest ON newest.org = org.id AND newest.code IN ({codes})
            AND newest.asked_at = (SELECT max(asked_at) FROM slice WHERE slice.org = org.id)
        JOIN slice AS refused ON refused.org = org.id AND refused.code IN ({codes})
            AND refused.asked_at > COALESCE((SELECT max(complete_at) FROM slice WHERE slice.org = org.id), 0)
        GROUP BY org.id, org.name
        """  # noqa: S608 - the codes are ours
    )
