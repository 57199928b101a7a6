"""Made-up logged attempts in any number, as a scored folder of Parquet: deterministic, quickly made, without texts.

Labels by skill, scores that tell much of them, costs that grow tenfold from model to model. Knows the layout.
"""

from pathlib import Path

from router.offline.wide import Reading, connected, literal
from router.strategy import Stage, Strategy
from scorer.partitioned.layout import LABELS, Manifest, Part, place_of
from scorer.partitioned.writing import part_of

MODELS = {
    "small": (0.60, 40_000),
    "middling": (0.75, 400_000),
    "large": (0.88, 4_000_000),
    "largest": (0.92, 9_000_000),
}
"""Skill, and nano-USD of a middling answer."""

ROWS_A_FILE = 625_000
CONTEXTS = ((), ("small",), ("middling",))
STRATEGY = Strategy.of(
    [Stage(model="small", threshold=0.8), Stage(model="middling", threshold=0.7), Stage(model="large")],
    reference_model="large",
    safe_model="large",
    scorer_version="sc_made",
)


def make(folder: Path, rows: int) -> Manifest:
    """A folder of so many answers, four to each query, in files of at most ``ROWS_A_FILE``."""
    queries, files = rows // len(MODELS), max(2, rows // ROWS_A_FILE)
    parts = []
    for shard in range(files):
        first, end = (queries * place // files for place in (shard, shard + 1))
        parts.append(_part(folder, shard, first, end))
    manifest = Manifest(
        shards=files,
        models=tuple(sorted(MODELS)),
        parts=tuple(parts),
        scorer_version="sc_made",
        scored=tuple(sorted(MODELS)),
        contexts=CONTEXTS,
    )
    manifest.dump(folder)
    return manifest


def _part(folder: Path, shard: int, first: int, end: int) -> Part:
    path = folder / place_of("train", shard)
    path.parent.mkdir(parents=True)
    models = ", ".join(f"({i}, {literal(m)}, {skill}, {cost})" for i, (m, (skill, cost)) in enumerate(MODELS.items()))
    empty = ", ".join(f"NULL::DOUBLE AS {column}" for column in LABELS.values() if column != "label_check")
    with connected(Reading(threads=2)) as database:
        database.execute(
            f"COPY (WITH answers AS (SELECT i, place, model, cost, (hash(i, place, 1) >> 11) / 9007199254740992 < "
            f"skill + 0.3 * (0.5 - (hash(i, 2) >> 11) / 9007199254740992) AS good, "
            f"(hash(i, place, 3) >> 11) / 9007199254740992 AS u, (hash(i, place, 4) >> 11) / 9007199254740992 AS v "
            f"FROM range({first}, {end}) queries(i), (VALUES {models}) models(place, model, skill, cost)) "
            "SELECT i AS query, sha256('query ' || i) AS hash, 'made' AS dataset, 'q' || i AS query_id, "
            "NULL::VARCHAR AS conversation, 'task ' || (i % 12) AS task, (hash(i, 5) % 5)::TINYINT AS fold, model, "
            f"good::BIGINT * 1000000000 AS quality_nano, good::DOUBLE AS label_check, {empty}, "
            "(50 + hash(i, 6) % 400)::BIGINT AS prompt_tokens, (20 + u * 400)::BIGINT AS completion_tokens, "
            "(cost * (0.5 + u))::BIGINT AS cost_nanousd, NULL::VARCHAR AS asked, NULL::VARCHAR AS answered, "
            "0.45 * good::INT + 0.55 * v AS score, 0.6 * good::INT + 0.4 * v AS score_beside_1, "
            "0.65 * good::INT + 0.35 * v AS score_beside_2 FROM answers ORDER BY i, place) "
            f"TO {literal(str(path))} (FORMAT parquet, COMPRESSION zstd)"
        )
    return part_of(folder, "train", shard, (end - first) * len(MODELS), end - first)
