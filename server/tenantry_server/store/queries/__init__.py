"""The statements, by noun. Names of slots are the parameters."""
