"""How much one key, or one throttled account, may ask for in a minute."""

from __future__ import annotations

MINUTE = 60.0


class Bucket:
    """A token bucket that holds a minute's worth and refills steadily. Times are seconds of a monotonic clock."""

    __slots__ = ("_at", "_level", "capacity")

    def __init__(self, per_minute: int, now: float) -> None:
        self.capacity = float(per_minute)
        self._level = self.capacity
        self._at = now

    def level(self, now: float) -> float:
        """What is left; below 0 when more was used than was foreseen."""
        if now > self._at:
            self._level = min(self.capacity, self._level + (now - self._at) * self.capacity / MINUTE)
            self._at = now
        return self._level

    def wait(self, amount: float, now: float) -> float:
        """Seconds until ``amount`` is there, 0 if it is. More than the bucket can hold waits until it is full."""
        short = min(amount, self.capacity) - self.level(now)
        return short * MINUTE / self.capacity if short > 0 else 0.0

    def take(self, amount: float) -> None:
        """Take ``amount``, also where it is not there; a negative one is given back."""
        self._level = min(self.capacity, self._level - amount)

    def refill(self, now: float) -> float:
        """Seconds until the bucket is full."""
        return (self.capacity - self.level(now)) * MINUTE / self.capacity

    def resize(self, per_minute: int, now: float) -> None:
        """Change what it holds, keeping the share that is left."""
        share = self.level(now) / self.capacity
        self.capacity = float(per_minute)
        self._level = share * self.capacity
