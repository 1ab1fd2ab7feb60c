"""Daytona's dialect: which organization a call about keys is about, who it is that calls, and what is refused."""
