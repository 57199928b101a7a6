"""Has every shard done: one after the other here, or side by side on a Ray cluster. Each result counts once.

Knows work that is done shard by shard. Knows nothing of what the work is.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeVar

from router.errors import ClusterError
from router.optimize.search import Progress

Task = TypeVar("Task")
Result = TypeVar("Result")

LOCAL = "local"
RETRIES = 4


class Runner(Protocol):
    """Where shards are done. threads : that each may use; None for as many as there are cores."""

    threads: int | None

    def run(
        self, work: Callable[[Task], Result], tasks: Sequence[Task], progress: Progress | None = None
    ) -> list[Result]:
        """The results, in the order of the tasks. An error of the work itself ends it."""
        ...


class Here:
    """In this process, one shard after the other: DuckDB uses all cores on each, unless ``threads`` says otherwise."""

    def __init__(self, threads: int | None = None) -> None:
        self.threads = threads

    def run(
        self, work: Callable[[Task], Result], tasks: Sequence[Task], progress: Progress | None = None
    ) -> list[Result]:
        """See ``Runner``."""
        results = []
        for done, task in enumerate(tasks, start=1):
            results.append(work(task))
            if progress is not None:
                progress(done, len(tasks))
        return results


class OnRay:
    """As Ray tasks of one core each. A task whose worker dies is done again, up to ``RETRIES`` times.

    What a dead worker had summed is gone with it, so nothing is counted twice. Workers need spillway installed, and the
    data under the same path.
    """

    threads: int | None = 1

    def run(
        self, work: Callable[[Task], Result], tasks: Sequence[Task], progress: Progress | None = None
    ) -> list[Result]:
        """See ``Runner``. Raises ClusterError where a shard's worker died too often."""
        import ray  # noqa: PLC0415 - an extra; ``on_ray`` has found it

        remote = ray.remote(num_cpus=1, max_retries=RETRIES)(work)
        places = {remote.remote(task): place for place, task in enumerate(tasks)}
        results: dict[int, Result] = {}
        waiting = list(places)
        while waiting:
            done, waiting = ray.wait(waiting, num_returns=1)
            for reference in done:
                try:
                    results[places[reference]] = ray.get(reference)
                except ray.exceptions.RayTaskError as error:
                    raise error.as_instanceof_cause() from None
                except ray.exceptions.RayError as error:
                    raise ClusterError(f"shard {places[reference]}: its worker died too often: {error}") from error
            if progress is not None:
                progress(len(results), len(tasks))
        return [results[place] for place in range(len(tasks))]


@contextmanager
def runner_at(address: str | None, *, workers: int | None = None) -> Iterator[Runner]:
    """Here, or on the Ray cluster of an address; ``local`` starts one on this machine for as long as it is needed.

    workers : of a local one, default: as many as there are cores. Raises ClusterError.
    """
    if address is None:
        yield Here()
        return
    try:
        import ray  # noqa: PLC0415 - an extra
    except ImportError:
        raise ClusterError("--ray needs the package ray: pip install 'spillway[ray]'") from None
    try:
        if address == LOCAL:
            ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False, logging_level="error")
        else:
            ray.init(address=address, log_to_driver=False, logging_level="error")
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        raise ClusterError(f"--ray {address}: no Ray cluster there: {error}") from error
    try:
        yield OnRay()
    finally:
        ray.shutdown()
