from __future__ import annotations

from spiritsafe.drill.board import FEED, Board
from spiritsafe.drill.play import Outcome, Played


def played(actor: str, outcome: Outcome = "served", at: float = 1.0) -> Played:
    return Played(at=at, actor=actor, outcome=outcome, seconds=0.5, tokens=4, prompt="why?")


def test_every_request_counts_once() -> None:
    board = Board(target=100, deadline=60, line=4)
    for outcome in ("served", "served", "refused", "failed"):
        board.tell(played("a", outcome))
    assert (board.served, board.refused, board.failed, board.count) == (2, 1, 1, 4)
    assert board.tokens == 16
    assert board.asked["a"] == 4
    assert board.turned_away["a"] == 1


def test_the_feed_keeps_the_newest() -> None:
    board = Board(target=100, deadline=60, line=4)
    for n in range(FEED + 5):
        board.tell(played(f"a{n}"))
    assert len(board.feed) == FEED
    assert board.feed[-1].actor == f"a{FEED + 4}"


def test_what_is_left_is_bounded_by_the_deadline() -> None:
    board = Board(target=100, deadline=60, line=4)
    assert board.left() is None
    for _ in range(20):
        board.tell(played("a"))
    board.now = 10.0
    assert board.left() == 40.0
    board.now = 50.0
    assert board.left() == 10.0
    board.now = 70.0
    assert board.left() == 0.0
