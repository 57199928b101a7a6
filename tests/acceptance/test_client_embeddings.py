"""OpenAI's own client asks for vectors: encodings, batches, what the ledger says, and what is refused."""

from decimal import Decimal
from pathlib import Path

import openai
import pytest

from tests.contract.backends.conftest import let_litellm_go
from tests.gateway_server import OBSERVING, models, serving
from tests.upstream import BadUpstream, raw, status, vectors


def with_embedder(chat: str, embedder: str) -> str:
    """Two models, of which one makes vectors."""
    price = "price: {input_usd_per_mtok: 2, output_usd_per_mtok: 0}"
    section = f"  - {{name: embedder, backend: openai_compatible, serves: embeddings, base_url: {embedder}, {price}}}\n"
    return models(large=chat) + section


async def test_vectors_in_either_encoding_with_a_row_in_the_ledger(tmp_path: Path) -> None:
    async with BadUpstream() as upstream:
        upstream.will(vectors())
        sections = (with_embedder(upstream.base_url, upstream.base_url), OBSERVING)
        async with serving(tmp_path, *sections) as gateway:
            client = gateway.client()
            asking = client.embeddings.with_raw_response
            reply = await asking.create(model="embedder", input=["a", "b"])  # asks for base64, and decodes it
            parsed = reply.parse()
            assert [vector.embedding for vector in parsed.data] == [[0.0, 0.5, 0.5], [1.0, 0.5, 0.5]]
            assert parsed.usage.prompt_tokens == 8
            assert Decimal(reply.headers["x-spillway-cost-usd"]) == Decimal("0.000016")
            assert upstream.asked[0].path == "/v1/embeddings"
            assert upstream.asked[0].body == {"model": "embedder", "input": ["a", "b"], "encoding_format": "base64"}

            decision = await gateway.closed(reply.headers["x-request-id"])
            assert (decision.status, len(decision.attempts)) == ("answered", 1)
            (attempt,) = decision.attempts
            assert (attempt.state, attempt.usage_source, attempt.amount_nanousd) == ("accepted", "provider", 16_000)
            assert attempt.reserved_nanousd is not None
            assert attempt.reserved_nanousd >= 16_000

            floats = await client.embeddings.create(
                model="embedder", input="a", encoding_format="float", dimensions=2, user="me"
            )
            assert floats.data[0].embedding == [0.0, 0.5]
            assert (upstream.asked[1].body["dimensions"], upstream.asked[1].body["user"]) == (2, "me")
            tokens = await client.embeddings.create(model="embedder", input=[[1, 2], [3]])
            assert len(tokens.data) == 2


async def test_what_is_no_embedding_is_refused_or_fails_in_words(tmp_path: Path) -> None:
    async with BadUpstream() as upstream:
        sections = (with_embedder(upstream.base_url, upstream.base_url), OBSERVING)
        async with serving(tmp_path, *sections) as gateway:
            client = gateway.client()
            with pytest.raises(openai.BadRequestError, match="serves chat, and this asks for embeddings"):
                await client.embeddings.create(model="large", input="a")
            with pytest.raises(openai.BadRequestError, match="large serves chat"):
                await client.embeddings.create(model="auto", input="a")
            with pytest.raises(openai.BadRequestError, match="serves embeddings, and this asks for chat"):
                await client.chat.completions.create(model="embedder", messages=[{"role": "user", "content": "a"}])
            with pytest.raises(openai.BadRequestError, match="input is required"):
                await client.embeddings.create(model="embedder", input=[])
            assert upstream.asked == []

            upstream.will(vectors(inputs=1))
            with pytest.raises(openai.InternalServerError) as few:
                await client.embeddings.create(model="embedder", input=["a", "b"])
            assert few.value.code == "upstream_failed"
            assert few.value.response.headers["x-should-retry"] == "false"
            failed = await gateway.closed(few.value.response.headers["x-request-id"])
            assert failed.attempts[0].state == "failed"
            assert failed.attempts[0].amount_nanousd == failed.attempts[0].reserved_nanousd  # it may be billed

            upstream.will(raw(b'{"data": [{"embedding": "!!"}]}'))
            with pytest.raises(openai.InternalServerError):
                await client.embeddings.create(model="embedder", input="a")
            upstream.will(status(400, "too long"))
            with pytest.raises(openai.BadRequestError, match="too long"):
                await client.embeddings.create(model="embedder", input="a")


async def test_embeddings_are_screened_as_everything_is(tmp_path: Path) -> None:
    config = (
        "models: [{name: vectors, backend: openai_compatible, serves: embeddings, base_url: 'http://127.0.0.1:9/v1'}]\n"
    )
    async with serving(tmp_path, config) as gateway:
        for field in ({"api_base": "http://169.254.169.254"}, {"x": {"extra_headers": {"a": "b"}}}):
            refused = await gateway.http.post("/v1/embeddings", json={"model": "vectors", "input": "a"} | field)
            assert (refused.status_code, refused.json()["error"]["code"]) == (400, "parameter_not_allowed")


async def test_a_hosted_model_makes_vectors(tmp_path: Path) -> None:
    """Through litellm, counted and priced, in the encoding that was asked for."""
    async with BadUpstream() as upstream:
        upstream.will(vectors())
        price = "price: {input_usd_per_mtok: 1, output_usd_per_mtok: 0}"
        model = "{name: vectors, backend: hosted, serves: embeddings, upstream_model: openai/text-embedding-3-small,"
        config = f"models: [{model} api_key: k, base_url: '{upstream.base_url}', {price}}}]\n"
        async with serving(tmp_path, config) as gateway:
            for encoding in ("float", "base64"):
                body = {"model": "vectors", "input": ["a", "b"], "encoding_format": encoding, "dimensions": 3}
                found = await gateway.http.post("/v1/embeddings", json=body)
                assert found.status_code == 200, found.text
                data = found.json()["data"]
                assert [entry["index"] for entry in data] == [0, 1]
                assert isinstance(data[0]["embedding"], str if encoding == "base64" else list)
                assert found.json()["usage"]["prompt_tokens"] == 8
                assert found.headers["x-spillway-cost-usd"] == "0.000008"
            assert upstream.asked[0].body["dimensions"] == 3
        await let_litellm_go()
