"""The one shape of an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, NamedTuple, Protocol, TypeVar

from spiritsafe.errors import SpiritsafeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

T = TypeVar("T")
R = TypeVar("R")


class Engine(Protocol):
    """Runs one function over many tasks, several at a time, in processes that share the files and nothing else."""

    name: str
    workers: int

    def run(self, function: Callable[[T], R], tasks: Sequence[T]) -> Iterator[R]:
        """The results in the order of the tasks. The first task that failed raises its error here."""

    def rest(self) -> None:
        """Give back what memory it holds while there is nothing to run."""

    def close(self) -> None:
        """End its processes."""


class Failed(NamedTuple):
    """An error of ours on its way between processes."""

    kind: type[SpiritsafeError]
    message: str
    remedy: str
    where: str | None

    def raised(self) -> SpiritsafeError:
        """The error again."""
        return self.kind(self.message, remedy=self.remedy, where=self.where)


class Guarded(Generic[T, R]):
    """A function that returns its errors instead of raising them: they don't survive pickling."""

    def __init__(self, function: Callable[[T], R]) -> None:
        self._function = function

    def __call__(self, task: T) -> R | Failed:
        """What the function returns for the task, or how it failed."""
        try:
            return self._function(task)
        except SpiritsafeError as error:
            return Failed(type(error), error.message, error.remedy, error.where)
