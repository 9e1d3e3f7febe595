from __future__ import annotations

import os

from hypothesis import settings

# Machines are shared: how long an example takes says nothing about whether it is right.
settings.register_profile("house", deadline=None)
# Examples that are the same each time, for a gate that must judge the change and not the draw.
settings.register_profile("fixed", deadline=None, derandomize=True)
settings.load_profile(os.environ.get("SPIRITSAFE_EXAMPLES", "house"))
