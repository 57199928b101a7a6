"""The ledger as the FinOps FOCUS 1.0 specification has it: costs by the hour, as finance joins them with other bills.

One row per hour, tenant, team, model, meter, price version and kind of call: what was billed (ledger's amounts, each
call's line rounded once), what the rate makes of the quantity (contracted), and what a public list would have asked.
Knows FOCUS and the ledger's tables. Knows no price list: it is given one.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import orjson
from sqlalchemy import Select, and_, case, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.database import Database
from gateway.ledger.billing import BOUND
from gateway.ledger.export.columns import Record, columns, usd_of
from gateway.ledger.export.grains import has_tag
from gateway.ledger.reports import Span
from gateway.ledger.retention.kept import must_be_kept
from gateway.ledger.rollups.sources import HOUR_US, uncompiled
from gateway.ledger.tables import attempts, line_items, requests
from router.pricing import PER_PIECE

FOCUS_COLUMNS = (
    *columns(AvailabilityZone="text", BilledCost="decimal", BillingAccountId="text", BillingAccountName="text"),
    *columns(BillingCurrency="text", BillingPeriodEnd="second", BillingPeriodStart="second", ChargeCategory="text"),
    *columns(ChargeClass="text", ChargeDescription="text", ChargeFrequency="text", ChargePeriodEnd="second"),
    *columns(ChargePeriodStart="second", CommitmentDiscountCategory="text", CommitmentDiscountId="text"),
    *columns(CommitmentDiscountName="text", CommitmentDiscountStatus="text", CommitmentDiscountType="text"),
    *columns(ConsumedQuantity="decimal", ConsumedUnit="text", ContractedCost="decimal", ContractedUnitPrice="decimal"),
    *columns(EffectiveCost="decimal", InvoiceIssuerName="text", ListCost="decimal", ListUnitPrice="decimal"),
    *columns(PricingCategory="text", PricingQuantity="decimal", PricingUnit="text", ProviderName="text"),
    *columns(PublisherName="text", RegionId="text", RegionName="text", ResourceId="text", ResourceName="text"),
    *columns(ResourceType="text", ServiceCategory="text", ServiceName="text", SkuId="text", SkuPriceId="text"),
    *columns(SubAccountId="text", SubAccountName="text", Tags="text", x_Kind="text"),
)
UNSPECIFIED = "Unspecified"
"""The provider of calls that are on nobody's bill: FOCUS wants a name."""

ListRate = Callable[[str, str, datetime], Decimal | None]
"""(model, meter, moment) -> USD per million tokens, or per piece, that a public list asks; None: it does not say."""

_MILLION = Decimal(1_000_000)
_NANO = Decimal(1).scaleb(-9)
_PIECES = {"image": "Images", "request": "Requests", BOUND: "Calls"}


@dataclass(slots=True, kw_only=True)
class Unpriced:
    """What could not be told in FOCUS, which wants an amount in every row: lines whose price is unknown."""

    lines: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """By id, what people call organisations and teams."""

    organisations: Mapping[str, str] = field(default_factory=dict)
    teams: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Sum:
    quantity: int
    nanousd: int
    tags: dict[str, str]


class Focus:
    """Reads rows of FOCUS. split : tags whose values get rows of their own; other tags are told where a row's agree."""

    def __init__(self, list_rate: ListRate, *, names: Names | None = None, split: Sequence[str] = ()) -> None:
        self._list_rate, self._names, self._split = list_rate, names or Names(), tuple(split)
        self.unpriced = Unpriced()

    async def pages(self, database: Database, span: Span) -> AsyncGenerator[Sequence[Record]]:
        """One hour at a time. Raises InvalidRequest where what it tells of was dropped."""
        await must_be_kept(database, span.since_us)
        moment = span.since_us or 0
        while True:
            async with database.read() as connection:
                await uncompiled(connection)
                first = select(func.min(attempts.c.opened_us)).where(attempts.c.opened_us >= moment)
                found = (await connection.execute(first)).scalar()
                if found is None or (span.until_us is not None and found >= span.until_us):
                    return
                hour = found - found % HOUR_US
                until = hour + HOUR_US if span.until_us is None else min(hour + HOUR_US, span.until_us)
                sums = await self._sums(connection, span, max(hour, moment), until)
            moment = until
            if sums:
                yield [self._record(hour, key, total) for key, total in sums.items()]

    async def _sums(
        self, connection: AsyncConnection, span: Span, since: int, until: int
    ) -> dict[tuple[Any, ...], _Sum]:
        sums: dict[tuple[Any, ...], _Sum] = {}
        result = await connection.execute(_lines(span, since, until))
        for *key, text, quantity, amount, unpriced in result.all():
            if not has_tag(text, span.tag):
                continue
            self.unpriced.lines += unpriced
            if amount is None:
                continue
            tags = _tags(text)
            whole = (*key, *(tags.get(name) for name in self._split))
            total = sums.setdefault(whole, _Sum(0, 0, tags))
            total.quantity += int(quantity)
            total.nanousd += int(amount)
            total.tags = {name: value for name, value in total.tags.items() if tags.get(name) == value}
        return sums

    def _record(self, hour: int, key: tuple[Any, ...], total: _Sum) -> Record:
        tenant, team, provider, model, kind, meter, version, rate, corrected = key[:9]
        start = datetime.fromtimestamp(hour / 1_000_000, UTC)
        told: dict[str, Any] = {
            **_costs(meter, total, rate if not corrected else None, self._list_rate(model, meter, start)),
            **_period(start),
            "BillingAccountId": tenant,
            "BillingAccountName": self._names.organisations.get(tenant, tenant),
            "BillingCurrency": "USD",
            "ChargeCategory": "Usage",
            "ChargeClass": "Correction" if corrected else None,
            "ChargeDescription": f"{model}: {meter}" + (", corrected" if corrected else ""),
            "ChargeFrequency": "Usage-Based",
            "InvoiceIssuerName": provider or UNSPECIFIED,
            "ProviderName": provider or UNSPECIFIED,
            "PublisherName": provider or UNSPECIFIED,
            "PricingCategory": "Standard",
            "ServiceCategory": "AI and Machine Learning",
            "ServiceName": model,
            "SkuId": f"{model}/{meter}",
            "SkuPriceId": version,
            "SubAccountId": team,
            "SubAccountName": None if team is None else self._names.teams.get(team, team),
            "Tags": orjson.dumps(total.tags, option=orjson.OPT_SORT_KEYS).decode(),
            "x_Kind": kind,
        }
        return tuple(told.get(column.name) for column in FOCUS_COLUMNS)


def _lines(span: Span, since: int, until: int) -> Select[Any]:
    rate = case((line_items.c.meter == BOUND, None), else_=line_items.c.rate_usd)
    corrected = case((line_items.c.seq > 0, 1), else_=0)
    key = (
        *(attempts.c[name] for name in ("tenant_id", "team_id", "provider", "model", "kind")),
        *(line_items.c.meter, line_items.c.price_version, rate, corrected, requests.c.tags),
    )
    of_attempt = and_(line_items.c.attempt_id == attempts.c.attempt_id, line_items.c.month == attempts.c.month)
    unpriced = func.sum(case((line_items.c.amount_nanousd.is_(None), 1), else_=0))
    return (
        select(*key, func.sum(line_items.c.quantity), func.sum(line_items.c.amount_nanousd), unpriced)
        .select_from(
            attempts.join(line_items, of_attempt).join(requests, requests.c.decision_id == attempts.c.decision_id)
        )
        .where(attempts.c.opened_us >= since, attempts.c.opened_us < until)
        .where(*(condition(attempts) for condition in span.attempt_conditions()))
        .group_by(*key)
        .order_by(*key)
    )


def _costs(meter: str, total: _Sum, rate: Decimal | None, list_rate: Decimal | None) -> dict[str, Any]:
    """Where there is no rate (a bound, a correction), the contract is what was billed; so is the list without one."""
    pieces = meter in PER_PIECE or meter in _PIECES
    quantity = Decimal(total.quantity) if pieces else Decimal(total.quantity) / _MILLION
    billed = usd_of(total.nanousd)
    contracted = billed if rate is None else _nano(rate * quantity)
    listed = contracted if list_rate is None else _nano(list_rate * quantity)
    return {
        "BilledCost": billed,
        "EffectiveCost": billed,
        "ContractedCost": contracted,
        "ContractedUnitPrice": rate,
        "ListCost": listed,
        "ListUnitPrice": rate if list_rate is None else list_rate,
        "ConsumedQuantity": Decimal(total.quantity),
        "ConsumedUnit": _PIECES.get(meter, "Tokens"),
        "PricingQuantity": quantity,
        "PricingUnit": _PIECES.get(meter, "1000000 Tokens"),
    }


def _period(start: datetime) -> dict[str, int]:
    month = start.replace(day=1, hour=0)
    following = month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)
    hour = _us(start)
    return {
        "ChargePeriodStart": hour,
        "ChargePeriodEnd": hour + HOUR_US,
        "BillingPeriodStart": _us(month),
        "BillingPeriodEnd": _us(following),
    }


def _us(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000


def _nano(amount: Decimal) -> Decimal:
    return amount.quantize(_NANO, rounding=ROUND_HALF_EVEN)


def _tags(text: str) -> dict[str, str]:
    try:
        told = orjson.loads(text)
    except orjson.JSONDecodeError:  # they were longer than what is kept, and cut off
        return {}
    return {str(name): str(value) for name, value in told.items()} if isinstance(told, dict) else {}
