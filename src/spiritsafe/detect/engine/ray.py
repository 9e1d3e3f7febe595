"""Ray: the same tasks on this machine's cores or on a cluster whose nodes see the same files."""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

from spiritsafe.detect.engine.types import Failed, Guarded, R, T
from spiritsafe.errors import ResourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


class Ray:
    """Joins the cluster that the environment names (``RAY_ADDRESS``), or starts one of its own on this machine."""

    name = "ray"

    def __init__(self, ray: Any, workers: int | None) -> None:
        self._ray = ray
        self._own = not ray.is_initialized()
        if self._own:
            ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        self.workers = int(workers or ray.cluster_resources().get("CPU", 1))

    def run(self, function: Callable[[T], R], tasks: Sequence[T]) -> Iterator[R]:
        """The results in the order of the tasks; no more of them wait than twice the workers."""
        remote, guarded = self._ray.remote(max_retries=2)(_call), Guarded(function)
        waiting: list[Any] = []
        for task in tasks:
            if len(waiting) >= 2 * self.workers:
                yield self._get(waiting.pop(0))
            waiting.append(remote.remote(guarded, task))
        for reference in waiting:
            yield self._get(reference)

    def rest(self) -> None:
        """The cluster looks after its own memory."""

    def close(self) -> None:
        """Leave the cluster; one of our own ends."""
        if self._own:
            self._ray.shutdown()

    def _get(self, reference: Any) -> Any:
        try:
            result = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            raise ResourceError(
                f"a task failed on the cluster: {str(error).splitlines()[0]}",
                remedy="See the cluster's own log; --engine local gives the same answer on this machine.",
            ) from error
        if isinstance(result, Failed):
            raise result.raised()
        return result


def _call(guarded: Guarded[T, R], task: T) -> R | Failed:
    return guarded(task)


def open_engine(workers: int | None) -> Ray:
    """Raises ResourceError if Ray is not installed."""
    try:
        ray = import_module("ray")
    except ImportError as error:
        raise ResourceError("Ray is not installed", remedy="Install it: pip install 'spiritsafe[ray]'.") from error
    return Ray(ray, workers)
