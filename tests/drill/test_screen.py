from __future__ import annotations

import io

from rich.console import Console

from spiritsafe.drill import screen
from spiritsafe.drill.board import Board, Standing
from spiritsafe.drill.play import Played


def board() -> Board:
    made = Board(target=400, deadline=240, line=4.0, stage="playing", now=95.0)
    for n in range(40):
        outcome = "refused" if n % 5 == 0 else "served"
        made.tell(Played(n, f"actor-{n % 10}", outcome, 0.5, 5, f"why [bold]{n}[/bold]?", code="suspended"))
    made.evidence = {f"actor-{n}": n - 4.0 for n in range(9)}
    made.links = {"payment": 3, "place": 2}
    made.rings = (("ring-1", 6.25),)
    made.decisions = (
        Standing(40.0, "observe", "actor-2", "in_force", ("actor-2",)),
        Standing(80.0, "suspend", "ring-1", "pending", ("actor-7", "actor-8")),
    )
    return made


def shown(width: int = 120, height: int = 40) -> str:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    console.print(screen.render(board(), height))
    return str(console.file.getvalue())  # type: ignore[attr-defined]


def test_it_shows_what_is_seen() -> None:
    text = shown()
    for word in ("1:35", "32 answered", "8 refused", "3 by payment", "ring-1: log10 e 6.2", "suspend", "pending"):
        assert word in text
    assert "proposed" in text
    assert "[bold]39[/bold]" in text, "what tenants write is text, never markup"


def test_accounts_are_ranked_by_evidence() -> None:
    text = shown()
    assert text.index("actor-8 ") < text.index("actor-7 ") < text.index("actor-0 ")


def test_the_numbers_are_shown_on_a_common_terminal() -> None:
    row = next(line for line in shown(100, 30).splitlines() if "actor-7 " in line)
    assert "3.0" in row, "its evidence"
    assert "proposed" in row
    row = next(line for line in shown(100, 30).splitlines() if "actor-5 " in line)
    assert "1.0" in row
    assert " 4 " in row, "how much it asked, and how much of it was refused"


def test_it_fits_common_terminals() -> None:
    for width, height in ((80, 24), (120, 40), (200, 60)):
        lines = shown(width, height).splitlines()
        assert max(map(len, lines)) <= width
        assert len(lines) <= height


def test_the_bar_reaches_its_mark_at_the_line() -> None:
    mark = screen.BAR * 3 // 4
    assert screen._bar(4.0, 4.0, "").plain.index("|") == mark
    assert screen._bar(4.0, 4.0, "").plain[:mark] == "█" * mark
    assert screen._bar(None, 4.0, "").plain.count("█") == 0
    assert screen._bar(-9.0, 4.0, "").plain.count("█") == 0
    assert screen._bar(400.0, 4.0, "").plain.count("█") == screen.BAR


def test_without_a_terminal_it_speaks_in_lines_and_seldom() -> None:
    console = Console(file=io.StringIO(), width=200)
    made = board()
    with screen.Screen(made, console=console) as shown_on:
        for _ in range(50):
            shown_on.update(stage="playing")
        shown_on.update(stage="ended")
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert len(lines) == 2
    assert "32 answered, 8 refused, 0 failed, 5 links, 1 decisions in force" in lines[0]
    assert "ended" in lines[1]


def test_quiet_says_nothing() -> None:
    console = Console(file=io.StringIO())
    with screen.Screen(board(), quiet=True, console=console) as shown_on:
        shown_on.update(stage="ended")
    assert console.file.getvalue() == ""  # type: ignore[attr-defined]


def test_on_a_terminal_it_draws_itself() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100, height=30)
    with screen.Screen(board(), console=console) as shown_on:
        shown_on.update(stage="ended")
    assert "ended" in console.file.getvalue()  # type: ignore[attr-defined]
