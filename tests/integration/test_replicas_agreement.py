"""Two gateways, each with its own copy of the files, come to serve the same, and say so where they do not yet."""

from pathlib import Path
from typing import Any

from router.strategy import Stage, Strategy
from tests.gateway_server import models
from tests.replicas import ADMIN, Replica, replicas, until
from tests.upstream import BadUpstream, answer

POLICY = "policies: [{name: default, safe_model: large, strategy: promoted.json}]\n"


def promote(folder: Path, model: str) -> str:
    """Make it the strategy that the folder's policy has; its id."""
    stages = (Stage(model=model),)
    strategy = Strategy.of(stages, reference_model="large", safe_model="large", scorer_version=None)
    strategy.dump(folder / "promoted.json")
    return strategy.id


def copy(whence: Path, where: Path) -> None:
    (where / "promoted.json").write_bytes((whence / "promoted.json").read_bytes())


async def served(replica: Replica) -> str:
    response = await replica.chat(temperature=1)
    assert response.status_code == 200, response.text
    return response.headers["x-spillway-strategy"]


async def config(replica: Replica) -> dict[str, Any]:
    told: dict[str, Any] = (await replica.http.get("/admin/config", headers=ADMIN)).json()
    return told


async def agreed(*all_of_them: Replica) -> list[dict[str, Any]] | None:
    told = [await config(replica) for replica in all_of_them]
    return told if all(one["agreed"] and len(one["replicas"]) == len(told) for one in told) else None


async def test_a_promoted_strategy_is_served_by_both_and_a_disagreement_is_seen(tmp_path: Path) -> None:
    async with BadUpstream() as upstream:
        upstream.will(answer("forty-two"))
        there = models(small=upstream.base_url, large=upstream.base_url), POLICY, "reload: {watch_s: 0.5}\n"
        folders = [tmp_path / "1", tmp_path / "2"]
        for folder in folders:
            folder.mkdir()
        promote(folders[0], "large")
        copy(*folders)
        async with replicas(tmp_path, *there, own_folders=True) as both:
            (before, _) = await until(lambda: agreed(*both))
            assert len({await served(replica) for replica in both}) == 1

            promoted = promote(folders[0], "small")
            await until(lambda: _is(served(both[0]), promoted))
            assert await served(both[1]) != promoted
            told = await until(lambda: _disagreeing(both[1]))
            assert {one["hash"] for one in told["replicas"]} == {before["hash"], (await config(both[0]))["hash"]}
            await until(lambda: _is(both[1].gauge("spillway_replica_configs"), 2))

            copy(*folders)
            await until(lambda: _is(served(both[1]), promoted))
            (after, _) = await until(lambda: agreed(*both))
            assert after["hash"] != before["hash"]
            await until(lambda: _is(both[1].gauge("spillway_replica_configs"), 1))
            assert await both[1].gauge(f'spillway_config_info{{hash="{after["hash"]}"}}') == 1

            both[0].process.kill()  # what is dead disagrees with nobody
            await until(lambda: _is(both[1].gauge("spillway_replicas"), 1))


async def test_a_reload_everywhere_reaches_both_and_a_file_that_is_wrong_goes_nowhere(tmp_path: Path) -> None:
    async with BadUpstream() as upstream:
        upstream.will(answer("forty-two"))
        promote(tmp_path, "large")
        there = models(small=upstream.base_url, large=upstream.base_url), POLICY
        async with replicas(tmp_path, *there) as both:
            await until(lambda: agreed(*both))
            promoted = promote(tmp_path, "small")
            for replica in both:
                assert await served(replica) != promoted  # nobody has said so
            done = await both[0].http.post("/admin/reload?everywhere=true", headers=ADMIN)
            assert done.status_code == 200
            await until(lambda: _is(served(both[1]), promoted))
            assert (await until(lambda: agreed(*both)))[0]["refused"] is None

            (tmp_path / "promoted.json").write_text("{}")
            refused = await both[0].http.post("/admin/reload?everywhere=true", headers=ADMIN)
            assert refused.status_code == 422
            for replica in both:
                assert await served(replica) == promoted
            assert await both[1].gauge("spillway_config_refused") == 0


async def _is(value: Any, wanted: object) -> bool:
    return bool(await value == wanted)


async def _disagreeing(replica: Replica) -> dict[str, Any] | None:
    told = await config(replica)
    return None if told["agreed"] else told
