"""Runs the versions on the connection, and in the transaction, that it is given (`versions.migrate`)."""

from alembic import context

given = context.config.attributes
context.configure(connection=given["connection"], version_table=given["version_table"])
context.run_migrations()
