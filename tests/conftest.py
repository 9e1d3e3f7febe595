from __future__ import annotations

from hypothesis import settings

# Machines are shared: how long an example takes says nothing about whether it is right.
settings.register_profile("house", deadline=None)
settings.load_profile("house")
