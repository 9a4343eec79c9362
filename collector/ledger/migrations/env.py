"""Run the migrations on the connection and in the transaction that `versions.migrate` passes."""

from alembic import context

given = context.config.attributes
context.configure(connection=given["connection"], version_table=given["version_table"])
context.run_migrations()
