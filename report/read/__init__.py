"""Run directories as values: everything that the report knows comes through here."""
