"""Properties are tried without a time limit for a single example, which a busy machine would break."""

from hypothesis import settings

settings.register_profile("unit", deadline=None)
settings.load_profile("unit")
