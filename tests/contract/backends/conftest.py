"""The same bench for every backend: a model that says "hello there" to one known query, called "small" by us."""

import sys
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from router.backends.backend import Backend, Call
from router.backends.build import BackendKind, BackendSpec, build
from scorer.answer import Answer, Query, Usage
from scorer.dataset import LoggedAnswer, LoggedQuery, write_log
from tests.upstream import BadUpstream
from tests.wire import USAGE

KEY = "sk-a-very-secret-key"
MESSAGES = ({"role": "user", "content": "Say hello."},)


@dataclass(kw_only=True)
class Bench:
    """A backend, and the server behind it if it has one."""

    kind: BackendKind
    backend: Backend
    spec: BackendSpec
    upstream: BadUpstream
    body: Mapping[str, Any] = field(default_factory=lambda: {"messages": list(MESSAGES)})

    def call(self, timeout_s: float | None = None, **fields: Any) -> Call:
        return Call(request_id="dec_1", body={**self.body, **fields}, timeout_s=timeout_s)


def spec_for(kind: BackendKind, base_url: str, folder: Path, **fields: Any) -> BackendSpec:
    if kind == "recorded":
        return BackendSpec(model="small", kind=kind, logs=(recording(folder),), recorded_model="logged", **fields)
    name = "openai/up-small" if kind == "hosted" else "up-small"
    return BackendSpec(model="small", kind=kind, base_url=base_url, api_key=KEY, upstream_model=name, **fields)


def recording(folder: Path) -> Path:
    answer = LoggedAnswer(
        answer=Answer(model="logged", text="hello there"),
        usage=Usage(prompt_tokens=USAGE[0], completion_tokens=USAGE[1]),
        quality=1.0,
        latency_s=900.0,
    )
    query = LoggedQuery(
        dataset="d", query=Query(id="q1", messages=MESSAGES), answers={"logged": answer}, labels={"logged": 1.0}
    )
    path = folder / "log.jsonl.gz"
    write_log(path, [query])
    return path


async def benched(kind: BackendKind, folder: Path, **fields: Any) -> AsyncGenerator[Bench]:
    async with BadUpstream() as upstream:
        spec = spec_for(kind, upstream.base_url, folder, **fields)
        backend = build(spec)
        yield Bench(kind=kind, backend=backend, spec=spec, upstream=upstream)
        await backend.aclose()
        await let_litellm_go()


async def let_litellm_go() -> None:
    """End what litellm keeps for the life of a process: its clients and its logging task belong to this test's loop."""
    litellm = sys.modules.get("litellm")
    if litellm is None:
        return
    worker = sys.modules["litellm.litellm_core_utils.logging_worker"].GLOBAL_LOGGING_WORKER
    tasks = {*worker._running_tasks, *([worker._worker_task] if worker._worker_task is not None else [])}
    if any(task.get_loop().is_closed() for task in tasks):  # an earlier test's, whose loop took its tasks along
        worker._worker_task = None
        worker._running_tasks.clear()
    await worker.stop()
    await litellm.close_litellm_async_clients()
    litellm.in_memory_llm_clients_cache.flush_cache()


@pytest.fixture(params=["openai_compatible", "hosted", "recorded"])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Bench]:
    async for one in benched(request.param, tmp_path):
        yield one


@pytest.fixture(params=["openai_compatible", "hosted"])
async def wired(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Bench]:
    """A backend with a server behind it, and nobody who would try again, so that every fault shows."""
    async for one in benched(request.param, tmp_path):
        yield one
