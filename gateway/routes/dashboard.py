"""/dashboard: sign in with a key, see what its holder may see of spending, and why a request was answered as it was.

Knows cookies, headers and forms. What the pages say is in ``gateway/dashboard``, what they are told in the ledger.
"""

import asyncio
import hashlib
import hmac
import logging
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, quote

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from gateway.auth import ANONYMOUS
from gateway.canaries.store import CanaryStore
from gateway.dashboard.facts import Facts
from gateway.dashboard.filters import Filters
from gateway.dashboard.pages import Entry, Frame, Pages, web_folder
from gateway.dashboard.reasons import reasons_of
from gateway.dashboard.session import LIFETIME_S, Sessions
from gateway.dashboard.viewer import OPERATOR, Viewer
from gateway.database import Database, DatabaseError, DatabaseUnavailable
from gateway.keys import KeyStore
from gateway.ledger.decisions import explain
from gateway.ledger.reviews import Reviews
from gateway.routes.dashboard_pages import Asked, Figures, PageOf
from gateway.routes.dashboard_trying import Form, NotChanged, Trying
from gateway.transcripts.store import TranscriptStore

COOKIE = "spillway_session"
_LONGEST_FORM = 4096
_LONGEST_NOTE = 1000
_LABELS = {"good": 1.0, "partly": 0.5, "bad": 0.0}
_DECISION_ID = re.compile(r"^dec_[0-9A-Za-z_-]{1,60}$")
_STATIC = {
    "spillway.css": "text/css; charset=utf-8",
    "spillway.js": "text/javascript; charset=utf-8",
    "mark.svg": "image/svg+xml",
}
_HEADERS = {
    # nothing inline, nothing from elsewhere, in nobody's frame
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # with less, browsers hide a form's origin from its own site
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_LOG = logging.getLogger("spillway.dashboard")

Page = Callable[[Request, Viewer], Awaitable[Response]]


async def _nobody_hears() -> None:
    pass


def dashboard_router(
    database: Database,
    keys: KeyStore | None,
    sessions: Sessions,
    facts: Callable[[], Facts],
    *,
    operator: Callable[[], str | None] = lambda: None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    changed: Callable[[], Awaitable[None]] = _nobody_hears,
) -> APIRouter:
    """keys : None where the gateway asks nobody for a key; then everybody who can connect sees the one tenant.

    facts : what the configuration of the moment says.
    operator : the operator's token, with which one sees everything; None where it is not to be used here.
    changed : hears that a canary was set or ended.
    """
    dashboard = _Dashboard(Figures(database, facts), facts, database, keys, sessions, operator, clock)
    trying = Trying(CanaryStore(database), facts, changed)
    router = APIRouter(prefix="/dashboard", include_in_schema=False)
    for page in dashboard.figures.pages:
        router.add_api_route(page.path.removeprefix("/dashboard"), dashboard.shows(page), methods=["GET"])
    router.add_api_route("/", dashboard.shows(dashboard.figures.pages[0]), methods=["GET"])
    router.add_api_route("/decisions/{decision_id}", dashboard.decision, methods=["GET"])
    router.add_api_route("/reviews", dashboard.review, methods=["POST"])
    router.add_api_route("/canaries", dashboard.posts(trying.change), methods=["POST"])
    router.add_api_route("/login", dashboard.login_form, methods=["GET"])
    router.add_api_route("/login", dashboard.login, methods=["POST"])
    router.add_api_route("/logout", dashboard.logout, methods=["POST"])
    router.add_api_route("/static/{name}", dashboard.static, methods=["GET"])
    return router


class _Dashboard:
    def __init__(
        self,
        figures: Figures,
        facts: Callable[[], Facts],
        database: Database,
        keys: KeyStore | None,
        sessions: Sessions,
        operator: Callable[[], str | None],
        clock: Callable[[], datetime],
    ) -> None:
        self.figures, self._facts, self._database, self._keys = figures, facts, database, keys
        self._sessions, self._operator, self._clock = sessions, operator, clock
        folder = web_folder()
        self._pages = Pages(folder)
        self._static = {name: (folder / "static" / Path(name).name).read_bytes() for name in _STATIC}

    def shows(self, page: PageOf) -> Callable[[Request], Awaitable[Response]]:
        """GET of a page: as HTML; with ``csv=PANEL`` one panel's table; with ``sql=1`` the statements behind it."""

        async def figures(request: Request, viewer: Viewer) -> Response:
            asked = self._asked(request, viewer)
            if page.operates and not viewer.operates:
                return self._none(viewer, "No such page", "Only the operator sees what the whole installation costs.")
            content = await page.load(asked)
            panel = content.panel(request.query_params.get("csv", ""))
            if panel is not None:
                text = await asyncio.to_thread(panel.table.as_csv)
                return _file(f"{panel.id}.csv", text, "text/csv; charset=utf-8")
            if content.file is not None:
                return _file(*content.file, "application/json")
            frame = self._frame(request, page.path, page.name, page.heading, asked)
            if asked.told is not None:
                return _html(self._pages.statements(frame, asked.told))
            return _html(await asyncio.to_thread(self._pages.page, frame, content))

        async def endpoint(request: Request) -> Response:
            return await self._for_viewer(request, figures)

        return endpoint

    async def decision(self, request: Request, decision_id: str) -> Response:
        """GET /dashboard/decisions/{id}"""

        async def page(request: Request, viewer: Viewer) -> Response:
            report = await explain(self._database, decision_id, tenant_id=None)
            if report is not None and viewer.sees(report.tenant_id, report.team_id, report.key_id):
                frame = self._frame(request, "", "Decision", "Why this answer", self._asked(request, viewer))
                said = await Reviews(self._database).said(report.decision_id, viewer.key_id)
                word = next((word for word, value in _LABELS.items() if value == said), None)
                may_read = viewer.may_review(report.tenant_id, report.team_id, report.key_id)
                kept = await TranscriptStore(self._database).of(report.decision_id) if may_read else {}
                scorer = self._facts().scorers.get(report.scorer_version or "")
                reasons = await asyncio.to_thread(reasons_of, report, kept, scorer)
                return _html(await asyncio.to_thread(self._pages.decision, frame, report, word, kept, reasons))
            return self._none(viewer, "No such decision", "There is none with this id among those that you may see.")

        return await self._for_viewer(request, page)

    async def review(self, request: Request) -> Response:
        """POST /dashboard/reviews with the fields ``decision``, ``label`` (0, 0.5 or 1), ``note`` and ``next``"""

        async def kept(request: Request, viewer: Viewer) -> Response:
            form = parse_qs(await _small_body(request))
            decision_id, label = form.get("decision", [""])[0], _LABELS.get(form.get("label", [""])[0])
            report = await explain(self._database, decision_id, tenant_id=None)
            if report is None or label is None or _from_elsewhere(request):
                return self._none(viewer, "Nothing was kept", "Say good, partly or bad of a decision on its own page.")
            if not viewer.may_review(report.tenant_id, report.team_id, report.key_id):
                said = "Only keys with the role admin, and the operator, say whether answers are good."
                return self._none(viewer, "Nothing was kept", said, 403)
            note = form.get("note", [""])[0][:_LONGEST_NOTE]
            await Reviews(self._database).keep(decision_id, report.tenant_id, viewer.key_id, label, note)
            return _redirect(_then(form.get("next", [""])[0]))

        return await self._for_viewer(request, kept)

    def posts(self, change: Callable[[Viewer, Form], Awaitable[str]]) -> Callable[[Request], Awaitable[Response]]:
        """POST of a form from one of these pages. change : does it, and says where to go; raises NotChanged."""

        async def changed(request: Request, viewer: Viewer) -> Response:
            form = {name: values[0] for name, values in parse_qs(await _small_body(request)).items()}
            if _from_elsewhere(request):
                return self._none(viewer, "Nothing was changed", "Do it from the page itself.", 403)
            try:
                return _redirect(await change(viewer, form))
            except NotChanged as error:
                return self._none(viewer, "Nothing was changed", str(error), error.status)

        async def endpoint(request: Request) -> Response:
            return await self._for_viewer(request, changed)

        return endpoint

    def _none(self, viewer: Viewer, heading: str, words: str, status: int = 404) -> Response:
        page = self._pages.problem(
            heading=heading, words=words, way_on="/dashboard", way_on_label="Overview", viewer=viewer
        )
        return _html(page, status)

    def _asked(self, request: Request, viewer: Viewer) -> Asked:
        more = dict(request.query_params)
        if not _DECISION_ID.match(more.get("before", "")):
            more.pop("before", None)
        told: list[str] | None = [] if "sql" in more else None
        filters = viewer.chosen(Filters.of(more))
        return Asked(viewer=viewer, filters=filters, now=self._clock(), more=more, told=told)

    def _frame(self, request: Request, here: str, title: str, heading: str, asked: Asked) -> Frame:
        facts = self.figures.facts()
        return Frame(
            viewer=asked.viewer,
            menu=[
                Entry(name=page.name, path=page.path)
                for page in self.figures.pages
                if asked.viewer.operates or not page.operates
            ],
            here=here,
            title=title,
            heading=heading,
            filters=asked.filters,
            period=asked.period,
            now=asked.now,
            choices={"policy": [policy.name for policy in facts.policies], "model": facts.models},
            base_url=str(request.base_url).rstrip("/"),
        )

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
            who = await self._owner(secret)
        except (DatabaseUnavailable, DatabaseError) as error:
            return self._ledger_trouble(error, None)
        if who is None:
            return _html(self._pages.login(then=then, refusal="This key is not known here, or it was revoked."), 401)
        response = _redirect(then)
        response.set_cookie(
            COOKIE,
            await self._sessions.begin(who),
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

    async def _owner(self, secret: str) -> str | None:
        """What a session names of whoever has this secret; None for nobody."""
        token = self._operator()
        if token is not None and hmac.compare_digest(secret.encode("utf-8", "replace"), token.encode()):
            return _operators(token)
        caller = None if self._keys is None else await self._keys.find(secret)
        return None if caller is None else caller.key_id

    async def _viewer(self, request: Request) -> Viewer | None:
        if self._keys is None:
            return Viewer.of(ANONYMOUS, signed_in=False)
        named = await self._sessions.key_id(request.cookies.get(COOKIE, ""))
        if named is None:
            return None
        token = self._operator()
        if token is not None and hmac.compare_digest(named.encode(), _operators(token).encode()):
            return Viewer(key_id=OPERATOR, name=OPERATOR, place=None, role="admin")
        caller = await self._keys.by_id(named)
        return None if caller is None else Viewer.of(caller)

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


def _file(name: str, content: str, media_type: str) -> PlainTextResponse:
    named = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
    return PlainTextResponse(content, headers=_HEADERS | named, media_type=media_type)


def _redirect(path: str) -> RedirectResponse:
    return RedirectResponse(path, 303, headers=_HEADERS | {"cache-control": "no-store"})


def _operators(token: str) -> str:
    """What a session names of the operator: it ends when the token is changed."""
    return f"{OPERATOR}-{hashlib.sha256(token.encode()).hexdigest()[:32]}"


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
