#!/usr/bin/env python3
"""Makes the starter reference that ships: ``.venv/bin/python scripts/starter_reference.py [OUT]``.

Its accounts are the drill's honest tenants, whose prompts a grammar of ours writes; their two hours are stretched to
two weeks. It holds statistics only. To be made anew whenever a detector, or the sketch, has another version.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from spiritsafe.detect.calibrate import reference_of_exchanges
from spiritsafe.detect.starter import STARTER
from spiritsafe.drill.crowd import HOURS, START, crowd
from spiritsafe.drill.tenants import KINDS

SEED = 20260301
SHARES = {"person": 50, "coder": 12, "student": 8, "support": 10, "translator": 6, "evaluation": 4, "agent": 10}
ACCOUNTS = 600
MADE = datetime(2026, 3, 1, tzinfo=UTC)
LASTS = timedelta(days=730)
STRETCH = timedelta(days=14) / timedelta(hours=HOURS)


def main(out: Path) -> None:
    """Generate, calibrate, write."""
    assert set(SHARES) == set(KINDS)
    slow = [
        msgspec.structs.replace(exchange, time=START + (exchange.time - START) * STRETCH)
        for exchange in crowd(SEED, SHARES, ACCOUNTS)
    ]
    slow.sort(key=lambda exchange: (exchange.time, exchange.exchange_id))
    made = reference_of_exchanges(slow, made=MADE, source="generated traffic")
    out.parent.mkdir(parents=True, exist_ok=True)
    msgspec.structs.replace(made, starter=True, expires=MADE + LASTS).save(out)
    sys.stdout.write(f"{out}: {made.accounts} accounts, {out.stat().st_size:,} bytes, {made.digest()}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else STARTER)
