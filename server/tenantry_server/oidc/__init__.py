"""Identity providers: what the operator trusts, their public keys, and what a token that one of them signed says."""
