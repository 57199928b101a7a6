"""Strategy files: what is written is what is read, and nothing unsound or changed is read."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import StrategyError
from router.strategy import Evidence, Stage, Strategy

MODELS = ("small", "middling", "large")


def evidence() -> Evidence:
    digest, seen = Evidence.of_queries(["b" * 64, "a" * 64])
    return Evidence(
        rule="match-best",
        data_sha256=digest,
        n_queries=2,
        quality=0.9,
        cost_usd_per_1k=0.1,
        reference_quality=0.9,
        reference_cost_usd_per_1k=1.0,
        seen=seen,
    )


def cascade() -> Strategy:
    stages = (Stage(model="small", threshold=0.7), Stage(model="large"))
    return Strategy.of(stages, reference_model="large", safe_model="large", scorer_version="sc_1", evidence=evidence())


def write(path: Path, change: dict[str, Any]) -> Path:
    path.write_text(json.dumps({**cascade().to_document(), **change}))
    return path


@given(st.lists(st.floats(0, 1), max_size=2), st.sampled_from(MODELS))
def test_what_is_written_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, thresholds: list[float], reference: str
) -> None:
    stages = [Stage(model=m, threshold=t) for m, t in zip(MODELS, [*thresholds, None], strict=False)]
    strategy = Strategy.of(stages, reference_model=reference, safe_model=reference, scorer_version="sc_1")
    path = tmp_path_factory.mktemp("strategy") / "strategy.json"
    strategy.dump(path)
    assert Strategy.load(path) == strategy


def test_the_id_follows_from_the_content_and_not_from_the_moment() -> None:
    def at(created: str, threshold: float) -> str:
        stages = (Stage(model="small", threshold=threshold), Stage(model="large"))
        return Strategy.of(stages, reference_model="large", safe_model="large", scorer_version="v", created=created).id

    assert at("2026-01-01T00:00:00+00:00", 0.5) == at("2026-01-02T00:00:00+00:00", 0.5)
    assert at("2026-01-01T00:00:00+00:00", 0.5) != at("2026-01-01T00:00:00+00:00", 0.6)
    assert at("", 0.5).startswith("st_")
    assert len(at("", 0.5)) == len("st_") + 12


def test_it_knows_what_it_was_chosen_on() -> None:
    assert cascade().chosen_on("a" * 64)
    assert not cascade().chosen_on("c" * 64)


def test_a_single_model_needs_no_scorer() -> None:
    single = Strategy.of((Stage(model="large"),), reference_model="large", safe_model="large")
    assert not single.needs_scorer
    assert single.models == ("large",)


TOLD = cascade().to_document()["evidence"]
POINT = {"exchange": 1, "quality": 1, "quality_ci95": [0, 1], "cost_usd_per_1k": 1, "cost_ci95": [0, 1]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reference_model": "small"}, "id: is 'st_.*, but the content has 'st_.*the file was changed"),
        ({"format": 1}, "format: is 1, this version reads 2"),
        ({"kind": "magic"}, "kind: must be one of threshold"),
        ({"stages": []}, "stages: must have at least one"),
        ({"stages": {}}, "stages: must be a list"),
        ({"stages": ["small"]}, r"stages\[0\]: must be a JSON object"),
        (
            {"stages": [{"model": "small", "threshold": 2}, {"model": "large"}]},
            r"stages\[0\].threshold: must be between",
        ),
        ({"stages": [{"model": "small"}, {"model": "large"}]}, r"stages\[0\].threshold: must be a number"),
        ({"stages": [{"model": "small", "threshold": 0.5}]}, r"stages\[0\].threshold: must be null"),
        ({"stages": [{"model": "a", "threshold": 0.5}, {"model": "a"}]}, r"stages\[1\].model: 'a' is already"),
        ({"stages": [{"modle": "a"}]}, r"stages\[0\].model: is missing"),
        ({"stages": [{"model": "a", "treshold": 1}]}, r"stages\[0\].treshold: is not a field"),
        ({"scorer_version": None}, "scorer_version: must name the scorer"),
        ({"safe_model": 3}, "safe_model: must be a string, not 3"),
        ({"evidence": {"rule": "x"}}, "evidence.data_sha256: is missing"),
        ({"evidence": TOLD | {"frontier": [{"exchange": "x"}]}}, r"evidence.frontier\[0\].exchange: must be a finite"),
        ({"evidence": TOLD | {"frontier": [POINT | {"cost_ci95": [1]}]}}, "evidence.frontier: cost_ci95: must be two"),
        ({"evidence": TOLD | {"frontier": [POINT | {"odd": 1}]}}, r"evidence.frontier\[0\].odd: is not a field"),
    ],
)
def test_an_unsound_file_is_refused_by_name(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = write(tmp_path / "strategy.json", change)
    with pytest.raises(StrategyError, match=f"strategy.json: {message}"):
        Strategy.load(path)


def test_what_is_no_json_or_no_file_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    for path in (broken, tmp_path / "absent.json", tmp_path):
        with pytest.raises(StrategyError, match="cannot be read as JSON"):
            Strategy.load(path)
    with pytest.raises(StrategyError, match="cannot be written"):
        cascade().dump(tmp_path / "no" / "folder.json")
