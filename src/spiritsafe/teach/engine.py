"""Continuous batching: one thread, one model, and rows that join and leave at any step.

Each step feeds every row the tokens that have no keys and values yet: one for a row being decoded, a
piece of the prompt for a row that has just joined. A row whose tokens are all fed draws its next one.
Rows being decoded stand before rows still being fed, so that both kinds are contiguous in memory.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from spiritsafe.errors import ResourceError
from spiritsafe.teach.kv import Slots

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from spiritsafe.teach.draw import Draw
    from spiritsafe.teach.types import Options

T = TypeVar("T")

# Room for this many more tokens is asked of a row that joins, so that it is not sent back at once.
HEADROOM = 64


class Row:
    """A sequence in the batch. Its first draw is fed; the others share its prompt and fork off when that is fed."""

    def __init__(self, draws: Sequence[Draw], cached: int = 0) -> None:
        self.draws = tuple(draws)
        self.cached = cached

    @property
    def draw(self) -> Draw:
        return self.draws[0]

    @property
    def pending(self) -> int:
        """How many tokens have no keys and values yet."""
        return len(self.draw) - self.cached

    @property
    def cancelled(self) -> bool:
        return all(draw.cancelled for draw in self.draws)


class Engine:
    """Runs ``model`` (loaded with ``kv.ATTENTION``) in a thread of its own until closed.

    A draw depends on its prompt, its sampling and its seed, and on its neighbours only through rounding:
    a matrix product may round differently for another batch shape. So the same seed gives the same
    tokens unless a draw falls within rounding of a boundary between two tokens; in bfloat16 that
    happens now and then, in float32 hardly ever.
    """

    def __init__(self, model: PreTrainedModel, options: Options, *, threads: int) -> None:
        untyped: Any = model
        self._decoder: torch.nn.Module = untyped.get_decoder()
        self._head: torch.nn.Module = untyped.get_output_embeddings()
        self._device = model.device
        self._options = options
        self._threads = threads
        self._slots = Slots.of(model)
        self._rows: list[Row] = []
        self._queue: deque[Row] = deque()
        self._jobs: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._wake = threading.Condition()
        self._closed = False
        self.forwards = 0
        self._thread = threading.Thread(target=self._run, name="spiritsafe-teacher", daemon=True)
        self._thread.start()

    def submit(self, draws: Sequence[Draw]) -> None:
        """Queue draws that share one prompt: it is fed once. Returns at once; each draw's sink hears the rest."""
        with self._wake:
            self._refuse_if_closed()
            self._queue.append(Row(draws))
            self._wake.notify()

    def call(self, function: Callable[[], T]) -> Future[T]:
        """Run something else with the model between two steps, in the engine's thread."""
        future: Future[T] = Future()
        with self._wake:
            self._refuse_if_closed()
            self._jobs.append((future, function))
            self._wake.notify()
        return future

    def close(self) -> None:
        """Stop; what is still being drawn ends as cancelled, and calls that have not run are cancelled."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join()

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise ResourceError("the teacher was closed", remedy="Open it again.")

    def _run(self) -> None:
        # OpenMP keeps its number of threads per thread, so it is set here and not by whoever opened us.
        torch.set_num_threads(self._threads)
        with torch.inference_mode():
            while True:
                with self._wake:
                    self._wake.wait_for(lambda: self._closed or self._queue or self._jobs or self._rows)
                    if self._closed:
                        break
                    jobs, self._jobs = self._jobs, deque()
                for future, function in jobs:
                    if future.set_running_or_notify_cancel():
                        with _HandingOver(future.set_exception):
                            future.set_result(function())
                with _HandingOver(self._fail_all):
                    self._step()
        for future, _ in self._jobs:
            future.cancel()
        for row in (*self._rows, *self._queue):
            _cancel(row)

    def _step(self) -> None:
        self._drop_cancelled()
        self._admit()
        first = self._arrange()
        if first < len(self._rows):
            self._feed(first, self._pieces(first))
        self._make_room()
        decoding = self._arrange()
        if decoding:
            self._feed(0, [1] * decoding)

    def _drop_cancelled(self) -> None:
        with self._wake:
            gone = [row for row in self._queue if row.cancelled]
            self._queue = deque(row for row in self._queue if not row.cancelled)
        gone += [row for row in self._rows if row.cancelled]
        self._remove([row for row in self._rows if row.cancelled])
        for row in gone:
            _cancel(row)

    def _admit(self) -> None:
        """Let rows in while there is a place, and memory for the longest of all."""
        while len(self._rows) < self._options.batch:
            with self._wake:
                if not self._queue or not self._fits(len(self._rows) + 1, len(self._queue[0].draw) + HEADROOM):
                    return
                self._rows.append(self._queue.popleft())
            self._reserve(len(self._rows), 1)

    def _make_room(self) -> None:
        """Send the last rows back to the queue until the rest fits. They are fed again later and go on as they were."""
        while not self._fits(len(self._rows), 0):
            row = self._rows.pop()
            with self._wake:
                self._queue.appendleft(Row(row.draws))

    def _fits(self, rows: int, columns: int) -> bool:
        longest = max((len(row.draw) for row in self._rows), default=0)
        return rows <= 1 or rows * max(columns, longest) <= self._options.kv_tokens

    def _reserve(self, rows: int, columns: int) -> None:
        """Room for so many rows of so many columns, and for all that is cached."""
        self._slots.reserve(rows, max(columns, max((row.cached for row in self._rows), default=0)))

    def _arrange(self) -> int:
        """Put the rows with one token to feed first; returns how many they are."""
        rows = self._rows
        first = 0
        for index, row in enumerate(rows):
            if row.pending == 1:
                if index != first:
                    self._slots.swap(first, index, max(row.cached, rows[first].cached))
                    rows[first], rows[index] = rows[index], rows[first]
                first += 1
        return first

    def _pieces(self, first: int) -> list[int]:
        """How many tokens each row from ``first`` on is fed now; bounded, so that streams do not stall for long."""
        budget = self._options.prefill_tokens
        width = min(self._rows[first].pending, budget)
        rows = self._rows[first : first + max(budget // width, 1)]
        return [min(row.pending, width) for row in rows]

    def _feed(self, first: int, widths: Sequence[int]) -> None:
        rows = self._rows[first : first + len(widths)]
        with _HandingOver(lambda error: self._fail(rows, error)):
            logits, ready = self._forward(first, rows, widths)
            over = [
                row
                for row, row_logits in zip(ready, logits, strict=True)
                if not self._draw(row, self._rows.index(row), row_logits)
            ]
            self._remove(over)

    def _forward(self, first: int, rows: Sequence[Row], widths: Sequence[int]) -> tuple[Tensor, list[Row]]:
        """Feed the rows. Logits ``[ready, vocabulary]`` (on the CPU) and the rows that have nothing left to feed."""
        width = max(widths)
        self._reserve(len(self._rows), max(row.cached for row in rows) + width)
        window = self._slots.window(first, [row.cached for row in rows], width)
        ids = torch.zeros((len(rows), width), dtype=torch.long)
        for index, (row, count) in enumerate(zip(rows, widths, strict=True)):
            ids[index, :count] = torch.tensor(row.draw.ids(row.cached, row.cached + count))
        out = self._decoder(
            input_ids=ids.to(self._device), position_ids=window.positions, use_cache=False, window=window
        )
        self.forwards += 1
        for row, count in zip(rows, widths, strict=True):
            row.cached += count
        fed = [index for index, row in enumerate(rows) if row.pending == 0]
        if not fed:
            return torch.empty(0), []
        last = out.last_hidden_state[fed, [widths[index] - 1 for index in fed]]
        return self._head(last).float().cpu(), [rows[index] for index in fed]

    def _draw(self, row: Row, slot: int, logits: Tensor) -> bool:
        """Draw a token for each of the row's draws; False when none of them goes on."""
        alive = [draw for draw in row.draws if _goes_on(draw, logits.clone() if len(row.draws) > 1 else logits)]
        if not alive:
            return False
        places = self._options.batch - len(self._rows)
        if not self._fits(len(self._rows) + len(alive) - 1, len(row.draw)):
            places = 0
        forks = [Row((draw,), row.cached) for draw in alive[1 : 1 + places]]
        self._reserve(len(self._rows) + len(forks), row.cached)
        row.draws = (alive[0],)
        for index in range(len(self._rows), len(self._rows) + len(forks)):
            self._slots.copy(slot, index, row.cached)
        self._rows += forks
        with self._wake:
            self._queue.extendleft(Row((draw,)) for draw in reversed(alive[1 + len(forks) :]))
        return True

    def _remove(self, gone: Sequence[Row]) -> None:
        """Take rows out; the last row moves into each hole."""
        for row in gone:
            hole, last = self._rows.index(row), len(self._rows) - 1
            if hole != last:
                self._slots.copy(last, hole, self._rows[last].cached)
                self._rows[hole] = self._rows[last]
            self._rows.pop()

    def _fail(self, rows: Sequence[Row], error: Exception) -> None:
        """A step failed as a whole, for want of memory say: its rows end, the others go on."""
        self._remove([row for row in rows if row in self._rows])
        for row in rows:
            for draw in row.draws:
                draw.fail(error)

    def _fail_all(self, error: Exception) -> None:
        """Something outside a row's own work failed: everyone in the batch hears of it, those in the queue go on."""
        rows, self._rows = self._rows, []
        for draw in (draw for row in rows for draw in row.draws):
            draw.fail(error)


def _goes_on(draw: Draw, logits: Tensor) -> bool:
    with _HandingOver(draw.fail):
        return not draw.accept(logits)
    return False


def _cancel(row: Row) -> None:
    for draw in row.draws:
        with _HandingOver(draw.fail):
            draw.cancel()


class _HandingOver:
    """Gives an exception to whoever waits for the work and swallows it here: the thread serves others too."""

    def __init__(self, taker: Callable[[Exception], None]) -> None:
        self._taker = taker

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        self._taker(error)
        return True
