"""The drill's screen: drawn live on a terminal, told in a few lines where there is none."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import RenderableType

    from spiritsafe.drill.board import Board

BAR = 12
SPEAK = 15.0
"""Seconds between two lines where the output is no terminal."""


def clock(seconds: float) -> str:
    """``95`` as ``1:35``."""
    whole = max(0, round(seconds))
    return f"{whole // 60}:{whole % 60:02d}"


def render(board: Board, height: int = 40) -> RenderableType:
    """The whole screen for what has been seen so far, at most about ``height`` lines."""
    rows = max(6, height - 12 - len(board.decisions[-4:]))
    side = Table.grid(expand=True)
    side.add_row(_decisions(board))
    side.add_row(_feed(board, max(3, rows - 9)))
    body = Table.grid(expand=True, padding=(0, 1))
    body.add_column(ratio=63)
    body.add_column(ratio=37)
    body.add_row(_accounts(board, rows), side)
    return Group(_head(board), body)


def line(board: Board) -> str:
    """The state in one line, for logs."""
    left = board.left()
    parts = [
        f"{clock(board.now)} {board.stage}: {board.served} answered, {board.refused} refused, {board.failed} failed",
        f"{sum(board.links.values())} links",
        f"{sum(d.status == 'in_force' for d in board.decisions)} decisions in force",
    ]
    if left is not None and board.stage == "playing":
        parts.append(f"about {clock(left)} left")
    return ", ".join(parts)


def _head(board: Board) -> Panel:
    left = board.left()
    rate = board.tokens / board.now if board.now > 1 else 0.0
    text = Text()
    text.append("spiritsafe drill  ", style="bold")
    text.append(f"{board.stage}  ", style="cyan")
    text.append(clock(board.now), style="bold")
    if left is not None and board.stage == "playing":
        text.append(f"  about {clock(left)} left", style="dim")
    text.append(f"\n{board.served} answered", style="bold")
    text.append(f"   {board.refused} refused", style="bold red" if board.refused else "dim")
    text.append(f"   {board.failed} failed", style="bold yellow" if board.failed else "dim")
    text.append(f"   {rate:.0f} tokens/s   ", style="dim")
    links = ", ".join(f"{count} by {kind}" for kind, count in sorted(board.links.items()))
    text.append(f"links: {links or 'none yet'}", style="dim")
    for name, evidence in board.rings:
        text.append(f"   {name}: log10 e {evidence:.1f}", style="red")
    return Panel(text, border_style="dim")


def _accounts(board: Board, rows: int) -> Panel:
    bound = {name: d.action for d in board.decisions if d.status == "in_force" for name in d.accounts}
    waiting = {name for d in board.decisions if d.status == "pending" for name in d.accounts}
    table = Table(box=None, expand=True, pad_edge=False, header_style="dim")
    table.add_column("account", no_wrap=True, min_width=12)
    table.add_column(f"e to {board.line:.1f}", no_wrap=True, min_width=BAR + 1)
    table.add_column("e", justify="right", no_wrap=True, min_width=4)
    table.add_column("asked", justify="right", no_wrap=True, min_width=5)
    table.add_column("no", justify="right", no_wrap=True, min_width=3)
    table.add_column("", no_wrap=True)
    ranked = sorted(board.asked, key=lambda name: (-board.evidence.get(name, float("-inf")), name))
    for name in ranked[:rows]:
        evidence = board.evidence.get(name)
        style = "red" if name in bound else "yellow" if name in waiting else ""
        table.add_row(
            Text(name, style=style),
            _bar(evidence, board.line, style or "blue"),
            "-" if evidence is None else f"{evidence:.1f}",
            str(board.asked[name]),
            str(board.turned_away[name] or ""),
            Text(bound.get(name, "proposed" if name in waiting else ""), style=style),
        )
    more = len(ranked) - rows
    title = f"accounts by evidence e (log10){f', {more} more below' if more > 0 else ''}"
    return Panel(table, title=title, title_align="left", border_style="dim")


def _bar(evidence: float | None, line_at: float, style: str) -> Text:
    """A bar that reaches the mark ``|`` when the evidence reaches the line."""
    mark = BAR * 3 // 4
    filled = 0 if evidence is None else round(mark * min(max(evidence / line_at, 0.0), 4 / 3))
    text = Text()
    for cell in range(BAR):
        if cell == mark:
            text.append("|", style="bold")
        text.append("█" if cell < filled else " ", style=style)
    return text


def _decisions(board: Board) -> Panel:
    if not board.decisions:
        return Panel(Text("none yet", style="dim"), title="decisions", title_align="left", border_style="dim")
    text = Text()
    for one in board.decisions[-4:]:
        text.append(f"{clock(one.at)} ", style="dim")
        text.append(one.action, style="bold red" if one.action in ("suspend", "withhold") else "bold")
        text.append(f" {one.subject}, {len(one.accounts)} account{'s' if len(one.accounts) > 1 else ''}, ")
        text.append(one.status.replace("_", " ") + "\n", style="yellow" if one.status == "pending" else "")
    text.rstrip()
    return Panel(text, title="decisions", title_align="left", border_style="dim")


def _feed(board: Board, rows: int) -> Panel:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, ratio=1)
    styles = {"served": "", "refused": "red", "failed": "yellow"}
    for one in list(board.feed)[-rows:]:
        style = styles[one.outcome]
        text = " ".join(one.prompt.split()) if one.outcome == "served" else f"{one.outcome}: {one.code}"
        table.add_row(Text(one.actor, style=style or "dim"), Text(text, style=style, overflow="ellipsis"))
    return Panel(table, title="asked just now", title_align="left", border_style="dim")


class Screen:
    """Shows the board: live on a terminal, else one line every ``SPEAK`` seconds; nothing when ``quiet``."""

    def __init__(self, board: Board, *, quiet: bool = False, console: Console | None = None) -> None:
        self._board = board
        self._console = console or Console(stderr=True)
        self._quiet = quiet
        self._spoke = float("-inf")
        self._live: Live | None = None

    def __enter__(self) -> Screen:
        if self._console.is_terminal and not self._quiet:
            self._live = Live(self._draw(), console=self._console, refresh_per_second=4, screen=False)
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._live is not None:
            self._live.update(self._draw(), refresh=True)
            self._live.stop()

    def update(self, *, stage: str | None = None) -> None:
        """Draw anew; a new ``stage`` is told at once."""
        changed = stage is not None and stage != self._board.stage
        if stage is not None:
            self._board.stage = stage
        if self._live is not None:
            self._live.update(self._draw())
        elif not self._quiet and (changed or time.monotonic() - self._spoke >= SPEAK):
            self._spoke = time.monotonic()
            self._console.print(line(self._board), highlight=False)

    def _draw(self) -> RenderableType:
        return render(self._board, self._console.height)
