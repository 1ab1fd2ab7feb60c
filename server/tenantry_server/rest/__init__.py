"""The REST dialects: leaves that nobody imports but `bootstrap`. Each speaks to the services; none knows another."""
