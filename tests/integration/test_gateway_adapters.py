"""One pool serves a base model and an adapter by name; a replica without the adapter is passed by."""

from pathlib import Path

from router.experts.looking import Looker
from tests.experts import expert
from tests.gateway_server import PRICE, serving
from tests.upstream import BadUpstream


def tier(name: str, upstream_model: str, *urls: str) -> str:
    places = ", ".join(f"{{base_url: '{url}'}}" for url in urls)
    fields = (
        f"backend: openai_compatible, upstream_model: {upstream_model}, provider: pool, gpu_usd_per_hour: 2, {PRICE}"
    )
    return f"  - {{name: {name}, {fields}, probe: false, deployments: [{places}], retries: {{most: 1, budget: 1}}}}\n"


async def test_a_base_and_its_adapter_are_two_tiers_of_one_pool(tmp_path: Path) -> None:
    async with BadUpstream() as whole, BadUpstream() as bare:
        whole.will(expert(adapters=("lora",)))
        bare.will(expert())
        urls = (bare.base_url, whole.base_url)
        assert (await Looker(whole.base_url, {}).look("lora")).serves == ("m", "lora")
        assert (await Looker(bare.base_url, {}).look("lora")).serves == ("m",)
        models = "models:\n" + tier("large", "m", *urls) + tier("adapted", "lora", *urls)
        policy = "policies: [{name: default, safe_model: large}]\n"
        async with serving(tmp_path, models, policy) as gateway:
            for name in ("large", "adapted", "adapted", "adapted", "adapted"):
                answered = await gateway.chat(name, max_tokens=8)
                assert answered.status_code == 200, answered.text
            asked = [each.body["model"] for each in whole.asked if each.path.endswith("/chat/completions")]
            assert asked.count("lora") == 4
