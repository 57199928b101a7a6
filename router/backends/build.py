"""From a description of a backend to the backend: the one place that knows all of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from router.backends.backend import Backend

BackendKind = Literal["openai_compatible", "hosted", "recorded"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendSpec:
    """What an operator says about one model. Secrets stay out of its repr.

    model : the name by which Spillway's users know it.
    upstream_model : the name that the upstream knows; None: the same. For ``hosted``, litellm's ``provider/model``.
    base_url : the API's root, such as ``http://host:8000/v1``. Needed by openai_compatible.
    timeout_s, first_byte_timeout_s, idle_timeout_s : for the whole call; until the answer begins; between two pieces
        of a stream. None: only the whole call's.
    logs, recorded_model : the files that a recorded backend plays back, and the model's name in them (None: the same).
    """

    model: str
    kind: BackendKind
    upstream_model: str | None = None
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    extra_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout_s: float = 120.0
    connect_timeout_s: float = 5.0
    first_byte_timeout_s: float | None = None
    idle_timeout_s: float | None = None
    max_reply_bytes: int = 32 * 1024 * 1024
    retry: bool = True  # once, where nothing can have been billed
    logs: tuple[Path, ...] = ()
    recorded_model: str | None = None
    replay_latency: bool = False  # recorded: wait as long as the logged call took


def build(spec: BackendSpec) -> Backend:
    """The backend that the spec describes. Raises BadBackendSpec naming the field at fault."""
    raise NotImplementedError
