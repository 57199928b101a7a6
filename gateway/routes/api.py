"""What is asked of the API beside completions, and the description of all of it. Knows which endpoints there are."""

import time
from importlib.metadata import version

from fastapi import FastAPI

from gateway.auth import Authenticator
from gateway.config.settings import ServerSettings
from gateway.policies import PolicyBook
from gateway.routes.counting import counting_router
from gateway.routes.models import models_router
from gateway.routes.openapi import describe


def add_api(app: FastAPI, policies: PolicyBook, authenticator: Authenticator, settings: ServerSettings) -> None:
    """Models, counts, and the OpenAPI document."""
    app.include_router(models_router(policies, authenticator, created=int(time.time())))
    app.include_router(counting_router(policies, authenticator, settings.max_body_bytes))
    describe(app, version("spillway"))
