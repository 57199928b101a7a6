"""The dashboard over HTTP in this process, its clock standing still: for tests of figures and not of pixels."""

from datetime import datetime

import httpx
from fastapi import FastAPI

from gateway.dashboard.facts import Facts
from gateway.dashboard.session import Sessions
from gateway.database import Database
from gateway.keys import KeyStore
from gateway.routes.dashboard import dashboard_router
from tests.dashboard_seed import NOW
from tests.furnished import FACTS

TOKEN = "the-operators-token-of-these-tests"
PAGES = ("", "/performance", "/breakdown", "/strategy", "/quality", "/budgets", "/pools", "/decisions", "/review")


def visitor(database: Database, facts: Facts = FACTS, now: datetime = NOW) -> httpx.AsyncClient:
    """Nobody yet: sign in with TOKEN, or a key."""
    app = FastAPI()
    sessions = Sessions(lambda: database.installation_secret("dashboard"))
    app.include_router(
        dashboard_router(
            database, KeyStore(database), sessions, lambda: facts, operator=lambda: TOKEN, clock=lambda: now
        )
    )
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway.test")
