"""What is asked of the API beside completions, and the description of all of it. Knows which endpoints there are."""

import time
from importlib.metadata import version

from fastapi import FastAPI

from gateway.auth import Authenticator
from gateway.routes.counting import counting_router
from gateway.routes.models import models_router
from gateway.routes.openapi import describe
from gateway.serving import Serving


def add_api(app: FastAPI, serving: Serving, authenticator: Authenticator) -> None:
    """Models, counts, and the OpenAPI document."""
    app.include_router(models_router(serving, authenticator, created=int(time.time())))
    app.include_router(counting_router(serving, authenticator))
    describe(app, version("spillway"))
