"""The database: its shape, its constraints, its statements and the one way to change it. No rules."""
