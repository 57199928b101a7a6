"""Who probes a deployment, and what came of it: one row for each look of an endpoint, the same for all processes.

Knows the table. Knows no server. A probe is claimed by inserting its row, which one process alone can do, so that
several replicas pay for one probe.
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import and_, select, update

from gateway.database import Database
from gateway.experts.tables import probes as _rows
from router.experts.findings import Looks, Probed

_DEAD_S = 600.0  # a probe that runs for longer has died


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a deployment is. sha256 : of its URL and of the model's name there."""

    model: str
    deployment: str
    sha256: str

    @classmethod
    def at(cls, model: str, deployment: str, base_url: str, upstream_model: str) -> "Endpoint":
        """The endpoint of a deployment."""
        told = f"{base_url.rstrip('/')}\n{upstream_model}"
        return cls(model=model, deployment=deployment, sha256=hashlib.sha256(told.encode()).hexdigest())


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What holds of an endpoint.   since_us : from when on."""

    endpoint: Endpoint
    since_us: int
    report: Probed


class ProbeStore:
    """The probes of one database."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database, self._clock = database, clock

    async def claim(self, endpoint: Endpoint, looks: Looks) -> bool:
        """Whether this process is to probe an endpoint that looks so: nobody has, and nobody is about to."""
        now_us = self._now_us()
        row = self._key(endpoint, looks) | {"state": "running", "since_us": now_us}
        async with self._database.write() as connection:
            if (await connection.execute(self._database.insert_once(_rows), row)).rowcount == 1:
                return True
            dead = and_(*self._is(endpoint, looks), _rows.c.state == "running")
            dead = and_(dead, _rows.c.since_us < now_us - int(_DEAD_S * 1e6))
            return (await connection.execute(update(_rows).where(dead).values(since_us=now_us))).rowcount == 1

    async def keep(self, endpoint: Endpoint, report: Probed) -> None:
        """Write down what came of a probe, claimed or asked for."""
        row = self._key(endpoint, report.looks)
        done = {"state": "done", "since_us": self._now_us(), "report": orjson.dumps(report.as_json()).decode()}
        async with self._database.write() as connection:
            await connection.execute(self._database.insert_once(_rows), row | done)
            await connection.execute(update(_rows).where(*self._is(endpoint, report.looks)).values(**done))

    async def recall(self, endpoint: Endpoint, looks: Looks) -> None:
        """An endpoint looks as it did before: what was found then is what holds now, if it was found."""
        done = and_(*self._is(endpoint, looks), _rows.c.state == "done")
        async with self._database.write() as connection:
            await connection.execute(update(_rows).where(done).values(since_us=self._now_us()))

    async def newest(self, endpoints: Sequence[Endpoint] | None = None) -> tuple[Kept, ...]:
        """What holds of each endpoint, or of those named, by model and deployment."""
        query = select(_rows).where(_rows.c.state == "done").order_by(_rows.c.since_us)
        async with self._database.read() as connection:
            found = (await connection.execute(query)).mappings().all()
        kept: dict[Endpoint, Kept] = {}
        for row in found:
            endpoint = Endpoint(model=row["model"], deployment=row["deployment"], sha256=row["endpoint_sha256"])
            report = Probed.of_json(orjson.loads(row["report"]))
            kept[endpoint] = Kept(endpoint=endpoint, since_us=row["since_us"], report=report)
        wanted = kept if endpoints is None else [endpoint for endpoint in endpoints if endpoint in kept]
        return tuple(kept[endpoint] for endpoint in sorted(wanted, key=lambda each: (each.model, each.deployment)))

    def _key(self, endpoint: Endpoint, looks: Looks) -> dict[str, str]:
        return {
            "model": endpoint.model,
            "deployment": endpoint.deployment,
            "endpoint_sha256": endpoint.sha256,
            "looks_sha256": _sha256(looks),
        }

    def _is(self, endpoint: Endpoint, looks: Looks) -> list[Any]:
        return [_rows.c[name] == value for name, value in self._key(endpoint, looks).items()]

    def _now_us(self) -> int:
        return int(self._clock() * 1e6)


def _sha256(looks: Looks) -> str:
    return hashlib.sha256(orjson.dumps(looks.as_json(), option=orjson.OPT_SORT_KEYS)).hexdigest()
