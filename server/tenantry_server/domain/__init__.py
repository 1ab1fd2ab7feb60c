"""Pure rules: facts, decisions and the words for them. Standard library only; no I/O, no transport, no database."""
