"""A log written to a folder of Parquet is read back as it was; a folder that is not whole is refused by name."""

import json
import random
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scorer.dataset import read_log
from scorer.errors import FolderUnreadable
from scorer.logline import SOURCES, LoggedQuery, parse_line
from scorer.partitioned.layout import COLUMNS, MANIFEST, Manifest
from scorer.partitioned.reading import read_folder
from scorer.partitioned.writing import write_folder
from tests.fakelog import fake_log


def written(out: Path, queries: list[LoggedQuery], shards: int = 3) -> Manifest:
    return write_folder(out, queries, cost=lambda logged: logged.usage.completion_tokens, shards=shards)


def by_id(queries: list[LoggedQuery]) -> list[LoggedQuery]:
    return sorted(queries, key=lambda query: (query.split or "", query.query.id))


qualities = st.one_of(
    st.sampled_from([0, 1, 0.5, 1 / 3, 1e-9]),
    st.dictionaries(st.sampled_from(SOURCES), st.sampled_from([0, 1, 0.25, 0.1]), min_size=1).map(
        lambda given: {source: [said, said] if source == "judge" else said for source, said in given.items()}
    ),
)
answers = st.fixed_dictionaries(
    {
        "text": st.text(max_size=8),
        "quality": qualities,
        "prompt_tokens": st.integers(0, 9),
        "completion_tokens": st.just(7),
    },
    optional={
        "finish_reason": st.sampled_from(["stop", "length"]),
        "token_logprobs": st.lists(st.floats(-9, 0), max_size=2),
        "latency_s": st.floats(0, 9),
        "tool_calls": st.just([{"id": "c", "function": {"name": "f", "arguments": "{}"}}]),
        "usage_source": st.sampled_from(["counted", "estimated"]),
    },
)  # fmt: skip
messages = st.fixed_dictionaries({"role": st.just("user"), "content": st.text(max_size=8)})
lines = st.fixed_dictionaries(
    {
        "dataset": st.sampled_from(["a", "b'c"]),
        "messages": st.lists(messages, min_size=1, max_size=2),
    },
    optional={
        "split": st.sampled_from(["train", "dev", "a/b ü", None]),
        "task": st.sampled_from(["sums", None]),
        "group": st.sampled_from(["g1", "g2"]),
        "reference": st.text(max_size=3),
        "tools": st.just([{"type": "function", "function": {"name": "f"}}]),
        "response_format": st.just({"type": "json_object"}),
    },
)  # fmt: skip
models = st.sampled_from(["m", "model/with:odd name", "ü'"])
bodies = st.one_of(
    st.dictionaries(models, answers, min_size=1).map(lambda found: {"answers": found}),
    st.dictionaries(models, st.sampled_from([0, 1, 0.5]), min_size=1).map(lambda found: {"labels": found}),
)


@given(rows=st.lists(st.tuples(lines, bodies), min_size=1, max_size=6), shards=st.integers(1, 3))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_it_is_read_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[dict[str, object], dict[str, object]]], shards: int
) -> None:
    queries = [
        parse_line(json.dumps({**line, **body, "query_id": f"q{i}"}).encode(), "log", i)
        for i, (line, body) in enumerate(rows)
    ]
    out = tmp_path_factory.mktemp("log") / "folder"
    manifest = written(out, queries, shards)
    assert by_id(list(read_folder(out))) == by_id(queries)
    assert (manifest.queries, manifest.rows) == (len(queries), sum(len(query.labels) for query in queries))
    assert Manifest.load(out) == manifest
    for split in {query.split for query in queries if query.split is not None}:
        assert by_id(list(read_folder(out, split=split))) == by_id([q for q in queries if q.split == split])
    manifest.verify(out)


def test_other_programs_read_it_as_hive_has_it(tmp_path: Path) -> None:
    written(tmp_path / "folder", [*fake_log(20), *fake_log(10, seed=1, split=None)])
    told = duckdb.connect().execute(
        "SELECT split, count(*), count(DISTINCT query), sum(quality_nano) FILTER (WHERE model = 'large') FROM "
        f"read_parquet('{tmp_path}/folder/**/*.parquet', hive_partitioning = true) GROUP BY split ORDER BY split"
    )
    good = [sum(q.labels["large"] for q in fake_log(n, seed=seed)) for n, seed in ((20, 0), (10, 1))]
    assert told.fetchall() == [("train", 60, 20, good[0] * 1e9), (None, 30, 10, good[1] * 1e9)]
    names = duckdb.connect().execute(f"DESCRIBE SELECT * FROM '{next((tmp_path / 'folder').rglob('*.parquet'))}'")
    assert [row[0] for row in names.fetchall()][: len(COLUMNS)] == list(COLUMNS)


def test_equal_questions_and_conversations_stay_together(tmp_path: Path) -> None:
    queries = fake_log(40)
    again = [replace(query, query=replace(query.query, id=f"again {query.query.id}")) for query in queries]
    grouped = [replace(query, group=f"g{i % 5}") for i, query in enumerate([*queries, *again])]
    written(tmp_path / "folder", grouped, shards=7)
    rows = f"read_parquet('{tmp_path}/folder/**/*.parquet', hive_partitioning = true)"
    one = duckdb.connect()
    assert one.execute(f"SELECT max(n) FROM (SELECT count(DISTINCT shard) n FROM {rows} GROUP BY hash)").fetchall() == [
        (1,)
    ]
    folds = one.execute(
        f"SELECT max(n) FROM (SELECT count(DISTINCT fold) n FROM {rows} GROUP BY conversation)"
    ).fetchall()
    assert folds == [(1,)]


def test_a_folder_is_a_log_wherever_logs_are_read(tmp_path: Path) -> None:
    queries = fake_log(12)
    written(tmp_path / "folder", queries)
    assert by_id(list(read_log([tmp_path / "folder"], split="train").queries)) == by_id(queries)
    assert read_log([tmp_path / "folder"], split="dev").queries == ()


def test_nothing_is_left_of_a_writing_that_failed(tmp_path: Path) -> None:
    def breaks() -> object:
        yield from fake_log(5)
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        write_folder(tmp_path / "folder", breaks(), cost=lambda _: None)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_not_written_over(tmp_path: Path) -> None:
    written(tmp_path / "folder", fake_log(3))
    with pytest.raises(FolderUnreadable, match="folder: is there already; name another folder, or remove it"):
        written(tmp_path / "folder", fake_log(3))


@pytest.mark.parametrize("harm", ["no manifest", "missing", "short", "counts", "format", "not json"])
def test_a_torn_folder_is_refused(tmp_path: Path, harm: str) -> None:
    folder = tmp_path / "folder"
    written(folder, fake_log(30))
    file, manifest = next(folder.rglob("*.parquet")), folder / MANIFEST
    content = json.loads(manifest.read_text())
    expected = {
        "no manifest": "has no manifest.json: it is no partitioned log, or was never finished",
        "missing": "is missing: the folder is torn",
        "short": "bytes instead of",
        "counts": "counts do not add up",
        "format": "format 9",
        "not json": "cannot be read",
    }[harm]
    if harm == "no manifest":
        manifest.unlink()
    elif harm == "missing":
        file.unlink()
    elif harm == "short":
        file.write_bytes(file.read_bytes()[:-100])
    elif harm == "not json":
        manifest.write_text("{")
    else:
        manifest.write_text(json.dumps(content | ({"rows": 7} if harm == "counts" else {"format": 9})))
    with pytest.raises(FolderUnreadable, match=expected):
        Manifest.load(folder)


def test_a_changed_file_of_the_same_size_is_found_by_its_hash(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    manifest = written(folder, fake_log(30))
    file = next(folder.rglob("*.parquet"))
    content = bytearray(file.read_bytes())
    content[random.Random(0).randrange(8, len(content) // 2)] ^= 1
    file.write_bytes(bytes(content))
    assert Manifest.load(folder) == manifest
    with pytest.raises(FolderUnreadable, match="is not what was written: its hash differs"):
        manifest.verify(folder)


@pytest.mark.parametrize("change", [{"rows": "x"}, {"path": 5}, {"queries": None}])
def test_a_manifest_of_other_kinds_of_values_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    written(tmp_path / "folder", fake_log(9))
    manifest = json.loads((tmp_path / "folder" / MANIFEST).read_text())
    manifest["parts"][0] |= change
    (tmp_path / "folder" / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(FolderUnreadable, match=MANIFEST):
        Manifest.load(tmp_path / "folder")
