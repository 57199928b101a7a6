"""A whole gateway on a free port, for tests of what a client sees.

    async with serving(folder, models(small=upstream.base_url), CASCADE) as gateway:
        await gateway.client().chat.completions.create(...)      # the real openai client
        gateway.http                                             # bare HTTP, for what no client would send

The scorer is a stub: an answer is worth the number in it, 0.5 where there is none.
"""

import asyncio
import re
import socket
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import uvicorn

from gateway.app import Gateway
from gateway.config.check import load_settings
from gateway.database import Database
from gateway.keys import KeyStore
from gateway.ledger.decisions import DecisionReport
from gateway.ledger.reports import Reports
from router.judging import AnswerScorer
from router.strategy import Stage, Strategy
from scorer.answer import Answer, Query
from scorer.errors import ScorerError
from scorer.familiarity import Doubt

PRICE = "price: {input_usd_per_mtok: 1, output_usd_per_mtok: 10}"
OBSERVING = "policies: [{name: default, safe_model: large}]\n"
CASCADE = "policies: [{name: default, safe_model: large, strategy: strategy.json, scorer: scorer}]\n"
HELLO: Any = [{"role": "user", "content": "hello"}]


class NumberScorer:
    """P(good) is the number that an answer consists of."""

    version = "stub"
    prefix_lengths: tuple[int, ...] = (20, 40)

    def score_prefix(self, query: Query, model: str, text: str) -> float:
        return self.score(query, Answer(model=model, text=text), ())

    def doubt(self, query: Query, rate: float) -> Doubt | None:
        return None

    def score(self, query: Query, answer: Answer, others: Sequence[Answer]) -> float:
        if "unscorable" in answer.text:
            raise ScorerError("no score")
        found = re.search(r"\d\.\d+", answer.text)
        return float(found[0]) if found else 0.5


def models(*, extra: str = "", **base_urls: str) -> str:
    """The models section, one openai_compatible model per name. extra : a further YAML field of each."""
    lines = ["models:"]
    for name, url in base_urls.items():
        lines += [f"  - name: {name}", "    backend: openai_compatible", f"    base_url: {url}", f"    {PRICE}"]
        lines += ["    max_output_tokens: 4096", *([f"    {extra}"] if extra else [])]
    return "\n".join(lines) + "\n"


@dataclass(slots=True)
class Running:
    """A gateway that serves."""

    url: str
    key: str
    http: httpx.AsyncClient
    database: Database
    server: uvicorn.Server

    def client(self, **options: Any) -> openai.AsyncOpenAI:
        """OpenAI's own client, pointed at this gateway."""
        defaults: dict[str, Any] = {"base_url": f"{self.url}/v1", "api_key": self.key, "max_retries": 0}
        return openai.AsyncOpenAI(**(defaults | options))

    async def chat(self, model: str = "auto", **fields: Any) -> httpx.Response:
        """A completion by bare HTTP."""
        return await self.http.post("/v1/chat/completions", json={"model": model, "messages": HELLO} | fields)

    async def decision(self, response: httpx.Response) -> dict[str, Any]:
        """What the gateway says about the decision behind a response."""
        found = await self.http.get(f"/v1/decisions/{response.headers['x-request-id']}")
        assert found.status_code == 200, found.text
        told: dict[str, Any] = found.json()
        return told

    async def closed(self, decision_id: str) -> DecisionReport:
        """The ledger's own view of a decision, once it is closed."""
        while True:
            found = await Reports(self.database).decision(decision_id, None)
            if found is not None and found.status is not None:
                return found
            await asyncio.sleep(0.01)  # only as long as the ledger takes to write its batch


def written(folder: Path, *sections: str, threshold: float = 0.8, release: float | None = None) -> Path:
    """The configuration file, and beside it a strategy of small before large."""
    (folder / "scorer").mkdir(exist_ok=True)
    stages = (Stage(model="small", threshold=threshold), Stage(model="large"))
    strategy = Strategy.of(stages, reference_model="large", safe_model="large", scorer_version="stub")
    (strategy if release is None else strategy.releasing(release)).dump(folder / "strategy.json")
    path = folder / "spillway.yaml"
    path.write_text("".join(sections))
    return path


@asynccontextmanager
async def serving(
    folder: Path,
    *sections: str,
    threshold: float = 0.8,
    release: float | None = None,
    load_scorer: Callable[[Path], AnswerScorer] | None = None,
) -> AsyncGenerator[Running]:
    """A gateway with these sections of configuration, in this event loop, and a key for it."""
    settings = load_settings(written(folder, *sections, threshold=threshold, release=release), env={})
    database = Database(settings.database_url)
    await database.migrate()
    _, key = await KeyStore(database).create("tests")
    gateway = Gateway(
        settings,
        reread=lambda: load_settings(settings.path, env={}),
        load_scorer=load_scorer or (lambda _folder: NumberScorer()),
    )
    config = uvicorn.Config(
        gateway.app, lifespan="on", log_config=None, access_log=False, ws="none", timeout_keep_alive=75
    )
    server = uvicorn.Server(config)
    listening = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        while not server.started:
            if task.done():
                await task
                raise RuntimeError("the gateway did not start")
            await asyncio.sleep(0.005)
        headers = {"authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as http:
            yield Running(url=url, key=key, http=http, database=database, server=server)
    finally:
        server.should_exit = True
        await task
        await database.dispose()
