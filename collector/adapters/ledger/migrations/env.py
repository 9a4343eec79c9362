"""Runs the versions on the connection, and in the transaction, that it is given (`versions.migrate`)."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
