"""The console. One file a page; ``app(store, data, token=...)`` is all that others need."""

from spiritsafe.console.app import app

__all__ = ["app"]
