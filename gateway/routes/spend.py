"""/admin/spend, /admin/savings and /admin/export: what was spent, for the operator and for keys, each what it may see.

Knows query parameters and credentials. Sums are the ledger's.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from gateway.database import Database
from gateway.errors import Forbidden, InvalidRequest
from gateway.ledger.cli import BadMoment, BadTag, csv_of, moment, names_of, parsed_tag
from gateway.ledger.export.files import content_of
from gateway.ledger.export.formats import MEDIA_TYPES, CannotExport, checked_format, encoded, encoder_of
from gateway.ledger.reconcile.store import Reconciliations
from gateway.ledger.reports import Reports, Span, checked_heading
from gateway.ledger.savings import read_savings
from gateway.routes.admin import AdminAuth
from gateway.tenancy.scope import Actor, Place

Text = Annotated[str | None, Query()]


@dataclass(frozen=True, slots=True)
class Asked:
    """Which spending, as the query says."""

    since: Text = None
    until: Text = None
    org: Text = None
    team: Text = None
    key: Text = None
    policy: Text = None
    model: Text = None
    provider: Text = None
    kind: Text = None
    tag: Text = None

    def span(self, actor: Actor) -> Span:
        """Narrowed to what the actor may see. Raises InvalidRequest, or Forbidden."""
        place = narrowed(actor, self.org, self.team, self.key)
        try:
            since, until, tag = moment("since", self.since), moment("until", self.until), parsed_tag(self.tag)
        except (BadMoment, BadTag) as error:
            raise InvalidRequest(
                f"{error}", param=f"{error}".split(":")[0].lstrip("-"), code="invalid_parameter"
            ) from None
        return Span(
            since=since,
            until=until,
            tenant_id=self.org if place is None else place.org_id,
            team_id=self.team if place is None else place.team_id,
            key_id=self.key if place is None else place.key_id,
            policy=self.policy,
            model=self.model,
            provider=self.provider,
            kind=self.kind,
            tag=tag,
        )


def narrowed(actor: Actor, org: str | None, team: str | None, key: str | None) -> Place | None:
    """The part of what was asked for that the actor may see; None: the operator, who may see everything.

    Raises Forbidden where something else was asked for.
    """
    own = actor.place
    if own is None:
        return None
    bound_key = own.key_id if actor.role == "member" else None
    for name, wanted, mine in (("org", org, own.org_id), ("team", team, own.team_id), ("key", key, bound_key)):
        if wanted is not None and mine is not None and wanted != mine:
            raise Forbidden(f"this key may not see the spending of {name} {wanted}", param=name)
    return Place(org_id=own.org_id, team_id=own.team_id or team, key_id=bound_key or key)


def spend_router(auth: AdminAuth, database: Database) -> APIRouter:
    """Reads the ledger for those who may."""
    router = APIRouter(prefix="/admin", tags=["admin"])
    reports = Reports(database)

    @router.get("/spend", response_model=None)
    async def spend(
        request: Request,
        asked: Annotated[Asked, Depends()],
        by: str = "model",
        format: str = "json",  # noqa: A002 - its name in the query
    ) -> dict[str, Any] | Response:
        """Exact sums by hour, day, model, provider, org, team, key, policy, kind or tag:NAME, as json or csv."""
        if format not in ("json", "csv"):
            raise InvalidRequest("format must be json or csv", param="format", code="invalid_parameter")
        span = asked.span(await auth.actor(request))
        rows, total = await reports.spend(checked_heading(by), span), await reports.total(span)
        names = await names_of(database, by)
        named = [(names.get(row.heading or "", row.heading or "(none)"), row) for row in rows]
        if format == "csv":
            return PlainTextResponse(csv_of(named), media_type="text/csv; charset=utf-8")
        return {"by": by, "data": [{"name": name, **row.as_json()} for name, row in named], "total": total.as_json()}

    @router.get("/savings")
    async def savings(request: Request, asked: Annotated[Asked, Depends()]) -> dict[str, Any]:
        """What the reference models would have cost, minus everything spent; negative where that was lost."""
        span = asked.span(await auth.actor(request))
        if not span.of_whole_requests:
            raise InvalidRequest(
                "savings are of whole requests, not of a model, provider or kind of call",
                param="model",
                code="invalid_parameter",
            )
        return (await read_savings(database, span)).as_json()

    _add_files(router, auth, database)
    return router


def _add_files(router: APIRouter, auth: AdminAuth, database: Database) -> None:
    @router.get("/variances")
    async def variances(request: Request, provider: str | None = None) -> dict[str, Any]:
        """Days on which a provider's file and the ledger differ, newest first; for the operator."""
        if (await auth.actor(request)).place is not None:
            raise Forbidden("providers' bills are the operator's")
        found = await Reconciliations(database).unreconciled(provider)
        return {"data": [{"provider": one.provider, **one.variance.as_json()} for one in found]}

    @router.get("/export/{grain}")
    async def export(
        request: Request,
        grain: str,
        asked: Annotated[Asked, Depends()],
        format: str = "csv",  # noqa: A002 - its name in the query
    ) -> Response:
        """Requests, attempts, line-items or hours, row by row, as csv or parquet; cut short where reading fails."""
        span = asked.span(await auth.actor(request))
        content, chosen = content_of(grain), checked_format(format)
        try:
            encoder = encoder_of(chosen, content.columns)
        except CannotExport as error:
            raise InvalidRequest(f"{error}", param="format", code="invalid_parameter") from None
        named = {"content-disposition": f'attachment; filename="{grain}.{chosen}"'}
        parts = encoded(encoder, content.pages(database, span))
        return StreamingResponse(parts, media_type=MEDIA_TYPES[chosen], headers=named)
