"""Which complete slices are unverified, and which names and labels their records have.

Whether all that was emitted of a slice is a zero that may be deleted data follows from its emission, so that is read of
all slices that may be. The names of earlier records are not known.
"""

import json

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_UNVERIFIED = 2  # the quality's code
_SLICE = sa.table(
    "slice", *map(sa.column, ("org", "population", "start", "emission")), sa.column("unverified", sa.Boolean)
)
_KEY = (_SLICE.c.org, _SLICE.c.population, _SLICE.c.start)
_ROWS = 1000


def upgrade() -> None:
    """Add the columns, and fill the first one."""
    op.add_column("slice", sa.Column("naming", sa.BigInteger))
    op.add_column("slice", sa.Column("unverified", sa.Boolean, nullable=False, server_default=sa.false()))
    tx = op.get_bind()
    maybe = sa.select(*_KEY, _SLICE.c.emission).where(_SLICE.c.emission.like(f"%,{_UNVERIFIED}%"))
    found = [
        {"of": row.org, "for": row.population, "at": row.start}
        for row in tx.execute(maybe, execution_options={"yield_per": _ROWS})
        if _is_unverified(row.emission)
    ]
    key = [column == sa.bindparam(name) for column, name in zip(_KEY, ("of", "for", "at"), strict=True)]
    if found:
        tx.execute(sa.update(_SLICE).where(*key).values(unverified=True), found)


def _is_unverified(emission: str) -> bool:
    _, _, products = json.loads(emission)
    return bool(products) and all(product[1] == _UNVERIFIED for product in products.values())
