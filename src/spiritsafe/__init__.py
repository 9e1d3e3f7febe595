"""Spiritsafe: distil with permission, catch it without."""

__version__ = "0.1.0"
