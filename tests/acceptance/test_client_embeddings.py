"""OpenAI's own client asks for vectors: encodings, batches, what the ledger says, and what is refused."""

from decimal import Decimal
from pathlib import Path

import openai
import pytest

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
