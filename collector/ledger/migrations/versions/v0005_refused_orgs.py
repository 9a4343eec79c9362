"""The orgs that are refused: since when, why, and by which credential. And a number that shows which orgs changed.

Until now only the states of slices showed it, and a complete slice that is fetched again in vain stays complete. What
slices show is taken over: the refusals after the last answer.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_REASONS = ("credential", "not_admin", "permission", "forbidden", "identity", "calendar", "duplicate")
_PARTIAL = 1


def upgrade() -> None:
    """Create the table, and fill it with what the slices show. Add the column."""
    op.add_column("org", sa.Column("changed", sa.BigInteger, nullable=False, server_default="0"))
    op.create_index("org_changed", "org", ["changed"])
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
        WITH answered AS (
            SELECT org, max(CASE WHEN state = {_PARTIAL} AND code IS NULL THEN asked_at ELSE complete_at END) AS at
            FROM slice GROUP BY org
        ), refused AS (
            SELECT slice.org, slice.code, slice.asked_at
            FROM slice LEFT JOIN answered ON answered.org = slice.org
            WHERE slice.code IN ({codes}) AND slice.asked_at > COALESCE(answered.at, 0)
        ), streak AS (
            SELECT org, min(asked_at) AS first_at, max(asked_at) AS last_at FROM refused GROUP BY org
        )
        SELECT alias.name, substr(max(refused.code), 9), max(alias.fingerprint), streak.first_at, streak.last_at
        FROM streak
        JOIN refused ON refused.org = streak.org AND refused.asked_at = streak.last_at
        JOIN org ON org.id = streak.org
        JOIN alias ON alias.name = org.name AND alias.org = org.id
        GROUP BY alias.name, streak.first_at, streak.last_at
        """  # noqa: S608 - the codes are ours
    )
