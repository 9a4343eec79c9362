"""Every version of the tables, from the first on. Never change a version that was released."""
