"""Replays of 10^5 … 2·10^7 logged attempts: rows a second, memory, and what Ray workers bring and cost here.

Each case runs in a process of its own. Prints tables; writes ``partitioned.csv`` and ``partitioned.svg`` into the
folder that SPILLWAY_EVIDENCE names, else into a temporary one. Cases with Ray need ``pip install 'spillway[ray]'``.
SPILLWAY_ROWS: the most rows. Asserted: equal sums wherever and however often files are done, and bounded memory.
"""

import csv
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path

import duckdb
import numpy as np
import pytest

from router.offline.playing import Played
from router.offline.running import LOCAL, Here, Runner, runner_at
from router.offline.shard import Shard, sums_of
from router.offline.sums import Sums
from router.offline.wide import Reading
from router.optimize.simulate import play
from router.optimize.table import ScoreTable
from scorer.partitioned.layout import Manifest
from tests.benchmarks.drawing import Series, draw_series
from tests.benchmarks.made_folder import STRATEGY, make

pytestmark = [pytest.mark.evidence, pytest.mark.timeout(3600)]

MOST = int(float(os.environ.get("SPILLWAY_ROWS", "2e7")))
SIZES = tuple(size for size in (100_000, 1_000_000, 5_000_000, 20_000_000) if size <= MOST)
MOST_MB = 3_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One case. cpu_s, peak_mb : of all processes that did files, and of the largest of them."""

    where: str
    rows: int
    starting_s: float
    wall_s: float
    cpu_s: float
    peak_mb: float
    kills: int
    sums: Sums


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A file, and where whoever starts on it leaves the number of its process."""

    shard: Shard
    marks: Path | None


def watched(task: Watched) -> tuple[Sums, float, int, float]:
    """Its sums, the CPU seconds that it took, which process did it, and that process's peak so far in MB."""
    if task.marks is not None:
        (task.marks / f"{os.getpid()}-{time.monotonic_ns()}").touch()
    start = time.process_time()
    sums = sums_of(task.shard)
    status = Path("/proc/self/status").read_text().splitlines()
    (peak,) = (int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM:"))
    return sums, time.process_time() - start, os.getpid(), peak


def awake(number: int) -> int:
    """Whoever does it has started, and has what the work needs."""
    return number + len(duckdb.__version__)


def _case(
    folder: Path, workers: int, threads: int, marks: Path | None, sent: "multiprocessing.Queue[Measured]"
) -> None:
    manifest = Manifest.load(folder)
    question = Played.of(STRATEGY, manifest)
    start = time.perf_counter()
    with runner_at(LOCAL, workers=workers) if workers else _here(threads) as runner:
        shards = [
            Shard(path=folder / part.path, question=question, reading=Reading(threads=threads))
            for part in manifest.parts
        ]
        if workers:
            runner.run(awake, list(range(4 * workers)))  # the workers' own start is no part of the work
        began = time.perf_counter()
        killer = _killer(marks)
        found = runner.run(watched, [Watched(shard=shard, marks=marks) for shard in shards], killer)
        done = time.perf_counter()
    sent.put(
        Measured(
            where=f"{workers} Ray worker{'s' * (workers > 1)}"
            if workers
            else f"here, {threads} thread{'s' * (threads > 1)}",
            rows=manifest.rows,
            starting_s=began - start,
            wall_s=done - began,
            cpu_s=sum(each[1] for each in found),
            peak_mb=max(each[3] for each in found),
            kills=0 if marks is None else len(list(marks.glob("killed-*"))),
            sums=Sums.total(each[0] for each in found),
        )
    )


class _here:  # noqa: N801 - a context like runner_at
    def __init__(self, threads: int) -> None:
        self._runner = Here(threads)

    def __enter__(self) -> Runner:
        return self._runner

    def __exit__(self, *_: object) -> None: ...


def _killer(marks: Path | None) -> Callable[[int, int], None] | None:
    """Kills, once some files are done, the worker that started last, in the middle of its file."""
    if marks is None:
        return None

    def told(done: int, total: int) -> None:
        if done in (2, total // 2):
            threading.Timer(0.05, _kill_latest, (marks,)).start()

    return told


def _kill_latest(marks: Path) -> None:
    latest = max(
        (path for path in marks.iterdir() if not path.name.startswith("killed")), key=lambda p: p.stat().st_mtime_ns
    )
    worker = int(latest.name.partition("-")[0])
    os.kill(worker, signal.SIGKILL)
    (marks / f"killed-{worker}").touch()


def case(folder: Path, *, workers: int = 0, threads: int = 1, marks: Path | None = None) -> Measured:
    """In a fresh process, whose children end with it."""
    spawn = multiprocessing.get_context("spawn")
    sent: multiprocessing.Queue[Measured] = spawn.Queue()
    process = spawn.Process(target=_case, args=(folder, workers, threads, marks, sent))
    process.start()
    while process.is_alive() and sent.empty():
        time.sleep(0.1)
    found = sent.get(timeout=10)  # nothing comes from one that died
    process.join(60)
    return found


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    made = {}
    for size in SIZES:
        made[size] = tmp_path_factory.mktemp("made") / str(size)
        start = time.perf_counter()
        manifest = make(made[size], size)
        assert manifest.rows == size
        megabytes = sum(part.bytes for part in manifest.parts) / 1e6
        print(
            f"\n{size:,} rows in {len(manifest.parts)} files, {megabytes:,.0f} MB, "
            f"made in {time.perf_counter() - start:.0f} s"
        )
    return made


def test_growth_with_rows(folders: dict[int, Path], tmp_path: Path) -> None:
    found = [case(folder, threads=threads) for folder in folders.values() for threads in (1, 2)]
    for one, two in zip(found[::2], found[1::2], strict=True):
        assert one.sums == two.sums
    _check_against_arrays(folders[SIZES[0]], found[0].sums)
    out = Path(os.environ.get("SPILLWAY_EVIDENCE", tmp_path))
    out.mkdir(parents=True, exist_ok=True)
    _write(found, out)
    _show(found)
    assert all(each.peak_mb < MOST_MB for each in found)
    assert found[-1].peak_mb < 4 * found[0].peak_mb + 1000  # a file at a time: memory does not grow with the log


def test_ray_workers(folders: dict[int, Path], tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="these cases need Ray: pip install 'spillway[ray]'")
    folder, marks = folders[SIZES[-1]], tmp_path / "marks"
    marks.mkdir()
    here, one, two = case(folder), case(folder, workers=1), case(folder, workers=2)
    killed = case(folder, workers=2, marks=marks)
    _show([here, one, two, replace(killed, where="2 Ray workers, killed")])
    print(
        f"1 Ray worker takes {one.wall_s / here.wall_s:.2f} of the time here, 2 workers are "
        f"{one.wall_s / two.wall_s:.2f} times as fast as 1; starting Ray {one.starting_s:.1f} s; "
        f"{killed.kills} workers killed; load {os.getloadavg()[0]:.1f}"
    )
    assert here.sums == one.sums == two.sums == killed.sums
    assert killed.kills >= 1


def _check_against_arrays(folder: Path, sums: Sums) -> None:
    """The same by numpy, on a table of the whole log."""
    names = ("small", "middling", "large")
    wide = ", ".join(
        f"max({column}) FILTER (WHERE model = '{model}') AS {column}_{model}"
        for model in names
        for column in ("quality_nano", "cost_nanousd", "score", "score_beside_1")
    )
    found = duckdb.connect().execute(f"SELECT {wide} FROM '{folder}/**/*.parquet' GROUP BY query").fetchnumpy()
    scores = {(0, ()): found["score_small"], (1, (0,)): found["score_beside_1_middling"]}
    table = ScoreTable(
        models=names,
        query_hashes=tuple(map(str, range(len(found["score_small"])))),
        quality=np.column_stack([found[f"quality_nano_{name}"] / 1e9 for name in names]),
        cost_nanousd=np.column_stack([found[f"cost_nanousd_{name}"] for name in names]),
        scores=lambda model, context: np.asarray(scores[model, context]),
    )
    played = play(table, (0, 1, 2), [0.8, 0.7])
    told = [sums.of("returned", stage, size=11) for stage in range(3)]
    assert [each[0] for each in told] == np.bincount(played.stage).tolist()
    assert sum(each[3] for each in told) == int(played.cost_nanousd.sum())
    assert sum(each[1] for each in told) == round(float(played.quality.sum())) * 10**9


def _show(found: list[Measured]) -> None:
    print("\n| where | rows | s | rows/s | CPU, s | rows/s of CPU | peak of a process, MB |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for one in found:
        print(
            f"| {one.where} | {one.rows:,} | {one.wall_s:.2f} | {one.rows / one.wall_s:,.0f} | {one.cpu_s:.2f} "
            f"| {one.rows / one.cpu_s:,.0f} | {one.peak_mb:,.0f} |"
        )


def _write(found: list[Measured], out: Path) -> None:
    names = [each.name for each in fields(Measured) if each.name != "sums"]
    with (out / "partitioned.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows(astuple(replace(one, sums=Sums()))[: len(names)] for one in found)
    series = []
    for where in dict.fromkeys(one.where for one in found):
        mine = [one for one in found if one.where == where]
        for measure, of in (("seconds", "wall_s"), ("CPU seconds", "cpu_s"), ("peak memory, MB", "peak_mb")):
            points = tuple((float(one.rows), float(getattr(one, of))) for one in mine)
            series.append(Series(name=where, axis="logged attempts", measure=measure, points=points))
    draw_series(series, out / "partitioned.svg")
    print(f"written to {out}")
