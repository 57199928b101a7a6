"""What is asked of the API beside completions, in one router. Knows which endpoints there are."""

import time

from fastapi import APIRouter

from gateway.auth import Authenticator
from gateway.config.settings import ServerSettings
from gateway.policies import PolicyBook
from gateway.routes.counting import counting_router
from gateway.routes.models import models_router


def api_router(policies: PolicyBook, authenticator: Authenticator, settings: ServerSettings) -> APIRouter:
    """Models and counts."""
    router = APIRouter()
    router.include_router(models_router(policies, authenticator, created=int(time.time())))
    router.include_router(counting_router(policies, authenticator, settings.max_body_bytes))
    return router
