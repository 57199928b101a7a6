"""The OpenAPI document matches what is served: cases generated from it meet no 5xx of the gateway's and no surprise.

By default some hundred cases; as evidence every phase of the generator, thousands.
"""

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.gateway_server import CASCADE, PRICE, models, serving
from tests.upstream import BadUpstream, Exchange, answer, vectors

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"

SERVED, MANAGED = ("--exclude-path-regex", "^/admin"), ("--include-path-regex", "^/admin")
TOKEN = "an-operators-token-of-some-length"
NAMES = ["auto", "small", "large", "embedder", "cascade/default"]


async def either(exchange: Exchange) -> None:
    """Words or vectors, by the path."""
    given = exchange.asked.body.get("input")
    flat = isinstance(given, list) and given and isinstance(given[0], int)
    makes = vectors(inputs=1 if flat or not isinstance(given, list) else len(given))
    await (makes if exchange.asked.path.endswith("/embeddings") else answer("it is 0.93"))(exchange)


def with_names(described: dict[str, Any]) -> dict[str, Any]:
    """The document, with models' names such that half of the generated requests get past them."""
    for operations in described["paths"].values():
        schema = operations.get("post", {}).get("requestBody", {}).get("content", {}).get("application/json", {})
        properties = schema.get("schema", {}).get("properties", {})
        if "model" in properties:
            properties["model"] = {"anyOf": [{"type": "string", "enum": NAMES}, properties["model"]]}
    return described


async def test_generated_requests_meet_what_is_documented(tmp_path: Path) -> None:
    assert await generated(tmp_path, "fuzzing", 15, SERVED) >= 100


async def test_generated_requests_of_an_operator_meet_what_is_documented(tmp_path: Path) -> None:
    assert await generated(tmp_path, "fuzzing", 5, MANAGED, TOKEN) >= 50


@pytest.mark.evidence
@pytest.mark.timeout(1500)
async def test_thousands_of_generated_requests_meet_what_is_documented(tmp_path: Path) -> None:
    assert await generated(tmp_path, "coverage,fuzzing", 150, SERVED) >= 2000


@pytest.mark.evidence
@pytest.mark.timeout(1500)
async def test_thousands_of_generated_requests_of_an_operator_meet_what_is_documented(tmp_path: Path) -> None:
    assert await generated(tmp_path, "coverage,fuzzing", 60, MANAGED, TOKEN) >= 1000


async def generated(
    tmp_path: Path, phases: str, most: int, operations: tuple[str, str], token: str | None = None
) -> int:
    """Serve, generate, check; how many cases there were.

    phases : of the generator.   most : cases an operation.   token : by default that of a key.
    """
    async with BadUpstream() as upstream:
        upstream.will(either)
        section = models(small=upstream.base_url, large=upstream.base_url)
        section += "  - {name: embedder, backend: openai_compatible, serves: embeddings, "
        section += f"base_url: {upstream.base_url}, {PRICE}}}\n"
        async with serving(tmp_path, section, CASCADE, f"admin: {{token: {TOKEN}}}\n") as gateway:
            described = (await gateway.http.get("/openapi.json")).json()
            (tmp_path / "openapi.json").write_text(json.dumps(with_names(described)))
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "schemathesis.cli", "run", "openapi.json", "--url", gateway.url,
                "--header", f"authorization: Bearer {token or gateway.key}", "--checks", CHECKS,
                "--max-examples", str(most),
                "--phases", phases, "--mode", "all", "--seed", "1", "--no-color", "--no-shrink",
                "--suppress-health-check", "all", *operations, "--generation-database", "none",
                "--request-timeout", "20", "--continue-on-failure",
                cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
            output = (await process.communicate())[0].decode()
    print(output)
    assert process.returncode == 0, output[-6000:]
    found = re.search(r"([\d,]+) generated", output)
    assert found is not None
    return int(found[1].replace(",", ""))
