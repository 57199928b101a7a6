"""What every runner of shards must do: all of them, each once, in order, and errors told. Ray's is held to it where
Ray is installed (``pip install 'spillway[ray]'``)."""

import importlib.util
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from router.errors import ClusterError, StrategyError
from router.offline.playing import Played
from router.offline.running import LOCAL, Here, Runner, runner_at
from router.offline.shard import asked_of
from router.strategy import Stage, Strategy
from scorer.partitioned.layout import Manifest
from tests.fakelog import fake_log
from tests.partitioned import scored_folder

RAY = importlib.util.find_spec("ray") is not None
pytestmark = pytest.mark.filterwarnings("ignore:.*:FutureWarning", "ignore:.*:pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module", params=["here", *(["ray"] if RAY else [])])
def runner(request: pytest.FixtureRequest) -> Iterator[Runner]:
    with runner_at(LOCAL if request.param == "ray" else None, workers=2) as made:
        yield made


def squared(number: int) -> int:
    return number * number


def refuses(number: int) -> int:
    raise StrategyError(f"not {number}")


@dataclass(frozen=True)
class Mortal:
    number: int
    marks: Path
    lives: int


def dies(task: Mortal) -> int:
    """Kills its own process until it has died as often as it is said to."""
    deaths = len(list(task.marks.glob(f"{task.number}-*")))
    if deaths < task.lives:
        (task.marks / f"{task.number}-{deaths}").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return task.number


def test_results_stand_in_the_order_of_the_tasks(runner: Runner) -> None:
    told: list[tuple[int, int]] = []
    assert runner.run(squared, list(range(9)), lambda done, total: told.append((done, total))) == [
        number * number for number in range(9)
    ]
    assert told == [(done, 9) for done in range(1, 10)]
    assert runner.run(squared, []) == []


def test_an_error_of_the_work_is_told_as_it_is(runner: Runner) -> None:
    with pytest.raises(StrategyError, match="not 3"):
        runner.run(refuses, [3])


def test_sums_are_the_same_wherever_shards_are_done(runner: Runner, tmp_path: Path) -> None:
    folder = scored_folder(tmp_path / "folder", fake_log(80), shards=5)
    stages = [Stage(model="small", threshold=0.7), Stage(model="middling", threshold=0.6), Stage(model="large")]
    strategy = Strategy.of(stages, reference_model="large", safe_model="large", scorer_version="sc_fake")
    manifest = Manifest.load(folder)
    question = Played.of(strategy, manifest)
    assert asked_of(folder, manifest, question, runner) == asked_of(folder, manifest, question, Here())


def test_a_killed_worker_s_shard_is_done_again_and_counts_once(runner: Runner, tmp_path: Path) -> None:
    if isinstance(runner, Here):
        tasks = [Mortal(number, tmp_path, lives=0) for number in range(6)]
    else:
        tasks = [Mortal(number, tmp_path, lives=number % 3) for number in range(6)]
    assert runner.run(dies, tasks) == list(range(6))
    assert len(list(tmp_path.iterdir())) == sum(task.lives for task in tasks)


def test_a_worker_that_always_dies_ends_it(runner: Runner, tmp_path: Path) -> None:
    if isinstance(runner, Here):
        assert runner.run(dies, [Mortal(1, tmp_path, lives=0)]) == [1]
        return
    with pytest.raises(ClusterError, match="shard 0: its worker died too often"):
        runner.run(dies, [Mortal(0, tmp_path, lives=99)])
