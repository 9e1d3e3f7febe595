"""Run inside a virtual environment that has honeypotllm: scores the requests on standard input (JSON lines of account,
seconds and prompt, in the order of time) with its scorer as it comes, on a clock of their own times, and prints the
accounts that ever reached its threshold. The clock begins today: a new account's state bears the machine's own time,
and would be credited for time running backwards.
"""

import json
import sys
import time

from honeypotllm import scoring
from honeypotllm.config import ScoringConfig


class Clock:
    """Stands in for the module ``time``."""

    def __init__(self) -> None:
        self.now = 0.0

    def time(self) -> float:
        """The time of the request at hand."""
        return self.now


def main() -> None:
    """Score all."""
    clock = scoring.time = Clock()
    scorer, flagged = scoring.SuspicionScorer(ScoringConfig()), set()
    later = None
    for line in sys.stdin:
        account, seconds, prompt = json.loads(line)
        later = time.time() + 3600.0 - seconds if later is None else later
        clock.now = seconds + later
        if scorer.score_request(account, prompt=prompt, input_tokens=len(prompt) // 4).should_honeypot:
            flagged.add(account)
    json.dump(sorted(flagged), sys.stdout)


if __name__ == "__main__":
    main()
