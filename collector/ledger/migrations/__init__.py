"""Every version of the tables, from the first on. A version that was released never changes."""
