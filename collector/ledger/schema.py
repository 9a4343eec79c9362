"""The tables. Every change here needs a new version under `migrations`; never edit an old one.

Instants are microseconds since the epoch, in UTC. Foreign keys do the clean-up: deleting the row of a
dead holder releases its leases, ends its waiting, and marks its files and runs as left behind.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)

UNREAD = "unread"  # the `command` of a run that was adopted without all of its records
BEGINNING = -62_135_596_800_000_000  # `since` of an org's first calendar: datetime.min

metadata = MetaData()

holder = Table(
    "holder",
    metadata,
    Column("holder_id", String(64), primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("command", Text, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("server", Text),  # start time of the server when it took its lock; null in SQLite
    Column("missed_since", BigInteger),  # when its lock was first missing after a restart, by the server's clock
)

# Ids of orgs and files are never reused: a process may still have the id of a deleted row.
org = Table(
    "org",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("org_id", Text),  # null until the config has pinned it, or an answer has named it
    Column("org_name", Text),  # null until an answer, or a sealed file of one, has named it
    Column("name", Text, nullable=False),  # the one last used in the config
    Column("wanted_from", BigInteger, nullable=False),
    Column("holder", ForeignKey("holder.holder_id", name="org_holder", ondelete="SET NULL")),
    Column("changed", BigInteger, nullable=False, server_default="0"),  # see `changes`
    Column("config", String(32)),  # which config had it last (see `removed`); null: none since this is noted
    Column("removed_at", BigInteger),  # when a run of that config first found it gone
    Column("forgotten_at", BigInteger),  # when a person said that it is meant
    UniqueConstraint("org_id", name="org_org_id"),
    Index("org_changed", "changed"),
    sqlite_autoincrement=True,
)

CONFIRMED = org.c.org_name.is_not(None)  # that the organization is the one of `org_id`

# Processes that found an org busy. Whoever has the lease leaves the org to them after a batch.
waiter = Table(
    "waiter",
    metadata,
    Column("org", ForeignKey("org.id", name="waiter_org", ondelete="CASCADE"), primary_key=True),
    Column("holder", ForeignKey("holder.holder_id", name="waiter_holder", ondelete="CASCADE"), primary_key=True),
    sqlite_with_rowid=False,
)

alias = Table(
    "alias",
    metadata,
    Column("name", Text, primary_key=True),
    Column("org", ForeignKey("org.id", name="alias_org", ondelete="CASCADE"), nullable=False),
    Column("fingerprint", String(64)),  # of the credential's user; null for a token
    sqlite_with_rowid=False,
)

# The entries of the config that are refused, until they are answered. Two entries may be one organization, each with a
# credential of its own.
refusal = Table(
    "refusal",
    metadata,
    Column("name", ForeignKey("alias.name", name="refusal_alias", ondelete="CASCADE"), primary_key=True),
    Column("reason", String(64), nullable=False),
    Column("message", Text),  # null: not known, since an older version saw it
    Column("fingerprint", String(64)),  # of the credential's user at the last refusal; null for a token
    Column("first_at", BigInteger, nullable=False),  # since the last answer
    Column("last_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

calendar = Table(
    "calendar",
    metadata,
    Column("org", ForeignKey("org.id", name="calendar_org", ondelete="CASCADE"), primary_key=True),
    Column("since", BigInteger, primary_key=True),
    Column("zone", Text, nullable=False),
    Column("granularity", String(16), nullable=False),
    Column("rules", String(64)),  # of the zone, when its boundaries were last compared (`Zone.rules`); null: unknown
    sqlite_with_rowid=False,
)

wanted = Table(
    "wanted",
    metadata,
    Column("org", ForeignKey("org.id", name="wanted_org", ondelete="CASCADE"), primary_key=True),
    Column("start", BigInteger, primary_key=True),
    Column("end", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

run = Table(
    "run",
    metadata,
    Column("run_id", String(64), primary_key=True),
    Column("command", Text, nullable=False),
    Column("holder", ForeignKey("holder.holder_id", name="run_holder", ondelete="SET NULL")),
    Column("started_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("exit_code", SmallInteger),  # null with ended_at set: the run was interrupted
)

file = Table(
    "file",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("run_id", String(64), nullable=False),
    Column("directory", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("records", BigInteger, nullable=False),
    Column("seal_intended", Boolean, nullable=False),
    Column("holder", ForeignKey("holder.holder_id", name="file_holder", ondelete="SET NULL")),
    Column("host", Text),  # the machine that wrote it
    Column("place", String(64)),  # the id of its directory, whatever its path; null: the path counts
    sqlite_autoincrement=True,
)

# The records of an unsealed file, where its place has no files that grow: compressed JSON Lines, in pieces.
outbox = Table(
    "outbox",
    metadata,
    Column("file", ForeignKey("file.id", name="outbox_file", ondelete="CASCADE"), primary_key=True),
    Column("start", BigInteger, primary_key=True),  # in bytes of the file that they make together
    Column("content", LargeBinary, nullable=False),
)

# One row: who this ledger is. A copy or a restored backup has the same id.
ledger = Table(
    "ledger",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("restated_from", BigInteger),  # restatements up to this instant are not known; null: all are
)

# Where records went. `directory_id` is empty for stdout, and for a directory that had none.
output = Table(
    "output",
    metadata,
    Column("path", Text, primary_key=True),
    Column("directory_id", String(64), primary_key=True),
    Column("host", Text, primary_key=True),
    Column("shard", Text, primary_key=True),  # empty for a run without one
    Column("number", BigInteger, nullable=False),  # the highest is the latest
    sqlite_with_rowid=False,
)

# `file` is the unsealed file with the latest revisions of the slice's emission. `prior` is the emission without
# them, as the sealed files have it: it becomes the emission again if the unsealed file is lost.
slice_ = Table(
    "slice",
    metadata,
    Column("org", ForeignKey("org.id", name="slice_org"), primary_key=True),
    Column("population", SmallInteger, primary_key=True),
    Column("start", BigInteger, primary_key=True),
    Column("end", BigInteger, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("code", String(64)),
    Column("asked_at", BigInteger, nullable=False),
    Column("complete_at", BigInteger),
    Column("emission", Text),
    Column("file", ForeignKey("file.id", name="slice_file")),
    Column("prior", Text),
    Column("anomalies", Text),  # of what was emitted; null: none
    # Whether all that was emitted is an unverified zero: follows from `emission`, which is costly to read.
    Column("unverified", Boolean, nullable=False, server_default=false()),
    Column("naming", BigInteger),  # of all its records (`core.naming`); null: not known, or they differ
    sqlite_with_rowid=False,
)
IN_FILE = Index(
    "slice_in_file", slice_.c.file, sqlite_where=slice_.c.file.is_not(None), postgresql_where=slice_.c.file.is_not(None)
)

# What was replaced when records of a slice were restated. What replaced it is the next row of the record, or else the
# slice's emission. It is kept as long as the slice: a window is restated a few times, while it is rechecked.
restatement = Table(
    "restatement",
    metadata,
    Column("org", ForeignKey("org.id", name="restatement_org", ondelete="CASCADE"), primary_key=True),
    Column("population", SmallInteger, primary_key=True),
    Column("start", BigInteger, primary_key=True),
    Column("at", BigInteger, primary_key=True),  # when the new records were emitted
    Column("run_id", String(64), nullable=False),  # which run emitted them
    Column("replaced", Text, nullable=False),  # the former records, as an emission
    # The unsealed file with the new records: if it is lost, they were never emitted.
    Column("file", ForeignKey("file.id", name="restatement_file", ondelete="SET NULL")),
    sqlite_with_rowid=False,
)
RESTATED_IN_FILE = Index(
    "restatement_in_file",
    restatement.c.file,
    sqlite_where=restatement.c.file.is_not(None),
    postgresql_where=restatement.c.file.is_not(None),
)
