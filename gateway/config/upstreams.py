"""What may stand under a model about how it is called: where, how long, how often, and when no longer.

Knows the fields and their defaults. What they do is in ``router/backends`` and ``router/calling.py``.
"""

from typing import Annotated

from pydantic import Field, SecretStr

from gateway.config.section import HttpUrl, Seconds, Section

Share = Annotated[float, Field(ge=0, le=1)]
DeploymentName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class TimeoutSettings(Section):
    """Of one call, beside the model's ``timeout_s`` for the whole of it. The last two are for streams."""

    connect_s: Seconds = Field(default=5.0, gt=0)
    first_token_s: Seconds | None = Field(default=None, gt=0)
    between_tokens_s: Seconds | None = Field(default=None, gt=0)


class RetrySettings(Section):
    """A call that failed is made again, as an attempt of its own, where it cannot have been billed."""

    most: int = Field(default=1, ge=0, le=10)
    billed: bool = False  # also where it may have been billed
    longest_wait_s: Seconds = Field(default=5.0, ge=0)  # an upstream that asks for more is not asked again
    budget: Share = 0.2  # retries for each call, on average


class BreakerSettings(Section):
    """A deployment that fails too often is left alone for a while, then probed with one call."""

    failures: int = Field(default=5, ge=1)
    share: Share = 0.5
    window_s: Seconds = Field(default=30.0, gt=0)
    pause_s: Seconds = Field(default=10.0, gt=0)


class LoadSettings(Section):
    """When a self-hosted engine, by its own metrics, takes no more for now."""

    every_s: Seconds = Field(default=1.0, ge=0.25, le=10)  # looked at so often
    most_waiting: int = Field(default=0, ge=0)  # requests in the engine's own queue, whoever sent them
    most_kv_use: Share = 0.95  # of its memory for keys and values
    places: int | None = Field(default=None, ge=1)  # requests that it works at together, vLLM's --max-num-seqs
    most_congestion: float = Field(default=1.0, ge=1, le=1000)  # times its price, for plans, when it is full


class QueueSettings(Section):
    """Where those wait for whom ``max_concurrency`` leaves no room; those whom it holds no more are turned away."""

    most: int = Field(default=100, ge=0)
    patience_s: Seconds = Field(default=10.0, gt=0)


class MixtureSettings(Section):
    """A model that is made of others: some propose, one writes the answer. See ``router/mixture.py``."""

    proposers: tuple[str, ...] = Field(min_length=1, max_length=16)  # in this order; twice the same: two samples of it
    aggregator: str
    least: int | None = Field(default=None, ge=1)  # asked where the scorer has no doubt; default: all of them, always
    quorum: int = Field(default=1, ge=1)  # fewer proposals make no answer
    deadline_s: Seconds = Field(default=30.0, gt=0)  # later proposals are not waited for
    temperature: float | None = Field(default=None, ge=0, le=2)  # of proposals; default: as the request says
    most_tokens: int = Field(default=1024, ge=1)  # of one proposal
    prompt: str | None = Field(default=None, min_length=1)  # what the aggregator is told before the proposals


class DeploymentSettings(Section):
    """One of several places where a model runs. What is not said here is as the model says."""

    name: DeploymentName | None = None  # default: its number
    base_url: HttpUrl | None = None
    api_key: SecretStr | None = None
    upstream_model: str | None = Field(default=None, min_length=1)
    extra_headers: dict[str, SecretStr] | None = None
