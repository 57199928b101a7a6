"""/dashboard: sign in with a key, see what its tenant spent and saved, and why a request was answered as it was.

Knows cookies, headers and forms. What the pages say is in ``gateway/dashboard``, what they are told in the ledger.
"""

import logging
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, quote

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from gateway.auth import ANONYMOUS
from gateway.dashboard.costs_page import costs_page
from gateway.dashboard.pages import PERIODS, Pages, Viewer, web_folder
from gateway.dashboard.session import LIFETIME_S, Sessions
from gateway.database import DatabaseError, DatabaseUnavailable
from gateway.keys import KeyStore
from gateway.ledger.overview import Overview, Period
from gateway.ledger.reports import Reports

COOKIE = "spillway_session"
PAGE_OF_DECISIONS = 20
DEFAULT_DAYS = 30
_LONGEST_FORM = 4096
_DECISION_ID = re.compile(r"^dec_[0-9A-Za-z_-]{1,60}$")
_STATIC = {"spillway.css": "text/css; charset=utf-8", "mark.svg": "image/svg+xml"}
_HEADERS = {
    # no script, nothing from elsewhere, in nobody's frame
    "content-security-policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # with less, browsers hide a form's origin from its own site
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_LOG = logging.getLogger("spillway.dashboard")

Page = Callable[[Request, Viewer], Awaitable[Response]]


def dashboard_router(
    overview: Overview,
    reports: Reports,
    keys: KeyStore | None,
    sessions: Sessions,
    *,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> APIRouter:
    """keys : None where the gateway asks nobody for a key; then everybody who can connect sees the one tenant."""
    dashboard = _Dashboard(overview, reports, keys, sessions, clock)
    router = APIRouter(prefix="/dashboard", include_in_schema=False)
    router.add_api_route("", dashboard.costs, methods=["GET"])
    router.add_api_route("/", dashboard.costs, methods=["GET"])
    router.add_api_route("/decisions/{decision_id}", dashboard.decision, methods=["GET"])
    router.add_api_route("/login", dashboard.login_form, methods=["GET"])
    router.add_api_route("/login", dashboard.login, methods=["POST"])
    router.add_api_route("/logout", dashboard.logout, methods=["POST"])
    router.add_api_route("/static/{name}", dashboard.static, methods=["GET"])
    return router


class _Dashboard:
    def __init__(
        self,
        overview: Overview,
        reports: Reports,
        keys: KeyStore | None,
        sessions: Sessions,
        clock: Callable[[], datetime],
    ) -> None:
        self._overview, self._reports, self._keys = overview, reports, keys
        self._sessions, self._clock = sessions, clock
        folder = web_folder()
        self._pages = Pages(folder)
        self._static = {name: (folder / "static" / Path(name).name).read_bytes() for name in _STATIC}

    async def costs(self, request: Request) -> Response:
        """GET /dashboard?days=30&before=dec_…"""
        return await self._for_viewer(request, self._costs)

    async def _costs(self, request: Request, viewer: Viewer) -> Response:
        days = _days(request.query_params.get("days"))
        before = request.query_params.get("before")
        before = before if before and _DECISION_ID.match(before) else None
        now = self._clock()
        period = Period.days(days, now)
        groups, calls = await self._overview.costs(viewer.tenant_id, period)
        listed = await self._overview.latest(viewer.tenant_id, limit=PAGE_OF_DECISIONS + 1, before=before)
        decisions, more = listed[:PAGE_OF_DECISIONS], listed[PAGE_OF_DECISIONS:]
        html = self._pages.costs(
            viewer=viewer,
            now=now,
            days=days,
            period=period,
            page=costs_page(period, groups, calls),
            decisions=decisions,
            before=before,
            next_before=decisions[-1].decision_id if more else None,
            base_url=str(request.base_url).rstrip("/"),
        )
        return _html(html)

    async def decision(self, request: Request, decision_id: str) -> Response:
        """GET /dashboard/decisions/{id}"""

        async def page(_request: Request, viewer: Viewer) -> Response:
            report = await self._reports.decision(decision_id, viewer.tenant_id)
            if report is not None:
                return _html(self._pages.decision(viewer=viewer, report=report))
            html = self._pages.problem(
                heading="No such decision",
                words="There is none with this id among yours.",
                way_on="/dashboard",
                way_on_label="All costs",
                viewer=viewer,
            )
            return _html(html, 404)

        return await self._for_viewer(request, page)

    async def login_form(self, request: Request) -> Response:
        """GET /dashboard/login"""
        if self._keys is None:
            return _redirect("/dashboard")
        return _html(self._pages.login(then=_then(request.query_params.get("next"))))

    async def login(self, request: Request) -> Response:
        """POST /dashboard/login with the fields ``key`` and ``next``"""
        if self._keys is None:
            return _redirect("/dashboard")
        if _from_elsewhere(request):
            return _html(self._pages.login(then="/dashboard", refusal="Sign in from this page itself."), 403)
        form = parse_qs(await _small_body(request))
        secret, then = form.get("key", [""])[0].strip(), _then(form.get("next", [""])[0])
        try:
            caller = await self._keys.find(secret)
        except (DatabaseUnavailable, DatabaseError) as error:
            return self._ledger_trouble(error, None)
        if caller is None:
            return _html(self._pages.login(then=then, refusal="This key is not known here, or it was revoked."), 401)
        response = _redirect(then)
        response.set_cookie(
            COOKIE,
            await self._sessions.begin(caller.key_id),
            max_age=LIFETIME_S,
            path="/dashboard",
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )
        return response

    async def logout(self, request: Request) -> Response:
        """POST /dashboard/logout"""
        response = _redirect("/dashboard")
        if not _from_elsewhere(request):
            response.delete_cookie(COOKIE, path="/dashboard", httponly=True, samesite="strict")
        return response

    async def static(self, name: str, request: Request) -> Response:
        """GET /dashboard/static/{name}"""
        content = self._static.get(name)
        if content is None:
            return Response(status_code=404, headers=_HEADERS)
        # the link to the sheet carries a hash of it
        keep = "public, max-age=31536000, immutable" if request.url.query else "public, max-age=3600"
        return Response(content, media_type=_STATIC[name], headers=_HEADERS | {"cache-control": keep})

    async def _for_viewer(self, request: Request, page: Page) -> Response:
        viewer = None
        try:
            viewer = await self._viewer(request)
            if viewer is None:
                asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
                return _redirect("/dashboard/login" + ("" if asked == "/dashboard" else f"?next={quote(asked)}"))
            return await page(request, viewer)
        except (DatabaseUnavailable, DatabaseError) as error:
            return self._ledger_trouble(error, viewer)

    async def _viewer(self, request: Request) -> Viewer | None:
        if self._keys is None:
            who = ANONYMOUS
            return Viewer(tenant_id=who.tenant_id, key_id=who.key_id, name=who.name, signed_in=False)
        key_id = await self._sessions.key_id(request.cookies.get(COOKIE, ""))
        caller = None if key_id is None else await self._keys.by_id(key_id)
        if caller is None:
            return None
        return Viewer(tenant_id=caller.tenant_id, key_id=caller.key_id, name=caller.name, signed_in=True)

    def _ledger_trouble(self, error: DatabaseUnavailable | DatabaseError, viewer: Viewer | None) -> Response:
        _LOG.warning("the dashboard cannot read the ledger: %s", error)
        passing = isinstance(error, DatabaseUnavailable)
        html = self._pages.problem(
            heading="The ledger does not answer" if passing else "The ledger cannot be read",
            words="It is busy or being restarted. Nothing is lost; try again in a moment."
            if passing
            else "Trying again will not help; the gateway's log says why.",
            way_on="/dashboard",
            way_on_label="Try again",
            viewer=viewer,
        )
        response = _html(html, 503 if passing else 500)
        if passing:
            response.headers["retry-after"] = "2"
        return response


def _html(content: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(content, status, headers=_HEADERS | {"cache-control": "no-store"})


def _redirect(path: str) -> RedirectResponse:
    return RedirectResponse(path, 303, headers=_HEADERS | {"cache-control": "no-store"})


def _days(given: str | None) -> int:
    return int(given) if given in {str(days) for days in PERIODS} else DEFAULT_DAYS


def _then(given: str | None) -> str:
    """Where to go after signing in: a page of the dashboard and nowhere else."""
    path = given or ""
    return path if re.match(r"^/dashboard($|[/?])", path) and path.isprintable() else "/dashboard"


def _from_elsewhere(request: Request) -> bool:
    """Whether a form of another site sent this; browsers say so, and that site cannot make them say otherwise."""
    site = request.headers.get("sec-fetch-site")  # not sent over plain HTTP to another machine
    if site is not None:
        return site not in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is not None and origin.partition("://")[2] != request.headers.get("host", "")


async def _small_body(request: Request) -> str:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LONGEST_FORM:
            return ""
    return body.decode("utf-8", "replace")
