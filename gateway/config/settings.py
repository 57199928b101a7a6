"""What may stand in ``spillway.yaml``, and whether what stands there makes sense together.

Knows the shape of the file, its defaults and its laws (names are unique, references lead somewhere, files exist).
Does not read strategies, scorers or prices: see ``gateway/policies.py`` and the composition root.
"""

from decimal import Decimal
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, IPvAnyNetwork, PrivateAttr, SecretStr

from gateway.config.file import ConfigFile, FieldPath
from gateway.config.section import HttpUrl, Seconds, Section
from gateway.config.upstreams import (
    BreakerSettings,
    DeploymentSettings,
    LoadSettings,
    MixtureSettings,
    QueueSettings,
    RetrySettings,
    TimeoutSettings,
)
from gateway.errors import ConfigError

Capability = Literal[
    "tools",
    "vision",
    "audio",
    "documents",
    "json_schema",
    "logprobs",
    "prompt_caching",
    "thinking",
    "reasoning_content",
]

# Names travel in headers and in URLs, so they may hold nothing that means something there.
ModelName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}$")]
PolicyName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Rate = Annotated[Decimal, Field(ge=0, allow_inf_nan=False)]


class ServerSettings(Section):
    """Where and how requests are taken."""

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)  # 0: any free one
    max_body_bytes: int = Field(default=16 * 1024 * 1024, ge=1024)
    request_timeout_s: Seconds = Field(default=600.0, gt=0)
    hold_headers_s: Seconds = Field(default=10.0, ge=0)  # a stream waits so long for its decision before headers go out
    keep_alive_s: Seconds = Field(default=5.0, gt=0)  # between comment lines while a cascade is still deciding
    leave_s: Seconds = Field(default=0.0, ge=0)  # after SIGTERM requests are taken, and /readyz says 503, for so long
    drain_s: Seconds = Field(default=60.0, ge=0)  # after that, for requests under way
    access_log: bool = True
    max_concurrency: int | None = Field(default=1000, ge=1)  # requests at once, all keys together
    queue: QueueSettings = QueueSettings(most=1000)
    max_messages: int = Field(default=2048, ge=1)
    max_images: int = Field(default=64, ge=0)
    image_urls: Literal["public", "any", "none"] = "public"  # which pictures a request may name by URL


class DatabaseSettings(Section):
    """Where keys and the ledger live. A relative SQLite path is relative to the configuration file."""

    url: SecretStr = SecretStr("sqlite+aiosqlite:///spillway.db")
    migrate_at_start: bool = True  # false: wait until `spillway migrate` was run, as a job before an upgrade does


class BillingSettings(Section):
    """What a provider bills for calls that did not end well."""

    hung_up: Literal["free", "estimate", "bound", "drain"] = "estimate"
    server_error: Literal["free", "bound"] = "bound"


class RetentionSettings(Section):
    """When what is older goes. Money goes by whole months, and never before its details."""

    details_days: int | None = Field(default=None, ge=1, le=36_500)  # tags, verdicts, a plan's steps; none: they stay
    money_days: int | None = Field(default=None, ge=62, le=36_500)  # single requests; none: they stay


class LedgerSettings(Section):
    """What becomes of rows while the database is away. Without a spool, what would be spent then is refused."""

    spool: Path | None = None  # a folder on a disk that stays; relative to the configuration file
    billing: dict[str, BillingSettings] = Field(default_factory=dict)  # by provider; default: what is known of it
    spool_max_bytes: int = Field(default=64 * 1024 * 1024, ge=1024 * 1024)  # of each process; beyond it 503
    drain_s: Seconds = Field(default=60.0, gt=0)  # calls that nobody waits for are read so long to learn their usage
    drain_most: int = Field(default=64, ge=0)  # and so many of them at once
    rollup_every_s: float = Field(default=60.0, ge=1, allow_inf_nan=False)  # hours that are over are summed up
    retention: RetentionSettings = RetentionSettings()


class AuthSettings(Section):
    """Who may call. Without keys everybody who can connect is one and the same anonymous tenant."""

    required: bool = True
    allow_anonymous_network: bool = False  # required: false binds to loopback only, unless this says otherwise


class AdminSettings(Section):
    """The operator's credential for ``/admin``. Without one only keys with a role can manage, each its own part.

    port : where ``/admin`` and ``/metrics`` are served, and then nowhere else.
    """

    token: SecretStr | None = Field(default=None, min_length=20)
    host: str = "127.0.0.1"
    port: int | None = Field(default=None, ge=0, le=65535)  # default: server.port; 0: any free one


class RedisSettings(Section):
    """What several processes share that needs no ledger: rates, answers. Later ones than ``timeout_s`` are none."""

    url: SecretStr
    timeout_s: Seconds = Field(default=0.25, gt=0)
    prefix: str = Field(default="spillway", pattern=r"^[A-Za-z0-9._-]{1,64}$")


class ReloadSettings(Section):
    """When a changed file is served without anybody's saying so. none: on SIGHUP and ``POST /admin/reload`` only."""

    watch_s: Seconds | None = Field(default=None, ge=0.5)  # between two looks at the file and all that it names


class RateLimitSettings(Section):
    """Where rates are shared through Redis and it is away: each process counts for itself, or limits refuse."""

    when_redis_is_down: Literal["local", "closed"] = "local"


class AlertSettings(Section):
    """Where reached thresholds of budgets are told. secret : signs what is told; needed beside ``url``."""

    url: HttpUrl | None = None
    secret: SecretStr | None = Field(default=None, min_length=20)
    timeout_s: Seconds = Field(default=10.0, gt=0)
    allowed_networks: tuple[IPv4Network | IPv6Network, ...] = ()  # private ones that the URL may lead to


class CacheSettings(Section):
    """The exact cache: in this process, and behind it in Redis where there is one."""

    enabled: bool = True
    shared: bool = True  # false: answers are not kept in Redis, whatever else is
    max_entries: int = Field(default=10_000, ge=1)
    max_bytes: int = Field(default=256 * 1024 * 1024, ge=1024)
    max_entry_bytes: int = Field(default=1024 * 1024, ge=1024)  # a larger answer is not kept, here or in Redis
    ttl_s: float = Field(default=86_400.0, gt=0)
    wait_s: Seconds = Field(default=30.0, ge=0)  # for the answer of a request like it under way; 0: nobody waits


class OtlpSettings(Section):
    """A collector of OpenTelemetry's: ``/v1/traces`` and ``/v1/metrics`` stand below ``endpoint``."""

    endpoint: HttpUrl
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    sample_ratio: float = Field(default=1.0, ge=0, le=1)  # of requests whose client has not decided that itself
    timeout_s: Seconds = Field(default=5.0, gt=0)
    queue: int = Field(default=2048, ge=1)  # spans held for the collector; beyond it they are dropped
    spans_every_s: Seconds = Field(default=5.0, gt=0)
    metrics_every_s: Seconds = Field(default=60.0, gt=0)


class TelemetrySettings(Section):
    """What is measured besides what always is, and how finely."""

    max_models: int = Field(default=100, ge=1)  # told apart in metrics; the rest are ``other``
    otlp: OtlpSettings | None = None


class IdempotencySettings(Section):
    """Answers to requests with an Idempotency-Key, kept in the database for whoever repeats them."""

    ttl_s: float = Field(default=86_400.0, gt=0, le=31_622_400)
    max_bytes: int = Field(default=1024 * 1024, ge=1024)  # of one answer; a larger one is not kept


class TranscriptSettings(Section):
    """Questions and answers, kept in the database to be looked at and trained from. By default none are."""

    share: float = Field(default=0.0, ge=0, le=1)  # of requests
    days: int = Field(default=30, ge=1, le=36_500)
    max_bytes: int = Field(default=256 * 1024, ge=1024)  # of one question, or one answer; longer ones are not kept


class PriceSettings(Section):
    """USD per million tokens, exact as written."""

    input_usd_per_mtok: Rate
    output_usd_per_mtok: Rate
    cached_input_usd_per_mtok: Rate | None = None


class ModelSettings(Section):
    """One model that can be asked for by name and that cascades can use as a tier."""

    name: ModelName
    backend: Literal["openai_compatible", "hosted", "recorded", "mixture"]
    mixture: MixtureSettings | None = None
    serves: Literal["chat", "embeddings"] = "chat"
    base_url: HttpUrl | None = None
    api_key: SecretStr | None = None
    provider: str | None = Field(default=None, min_length=1, max_length=256)  # whose bill it comes on
    gpu_usd_per_hour: Rate | None = None  # of a self-hosted pool, whose provider is its own
    tokenizer: str | None = Field(default=None, min_length=1)  # an encoding of OpenAI's, or a tokenizer.json
    region: str = Field(default="", max_length=64)  # where it is served, where prices differ by it
    upstream_model: str | None = Field(default=None, min_length=1)  # the provider's own name; default: ``name``
    extra_headers: dict[str, SecretStr] = Field(default_factory=dict)
    price: PriceSettings | None = None
    timeout_s: Seconds | None = Field(default=None, gt=0)
    timeouts: TimeoutSettings = TimeoutSettings()
    retries: RetrySettings = RetrySettings()
    breaker: BreakerSettings = BreakerSettings()
    deployments: tuple[DeploymentSettings, ...] = ()  # default: one, as the model itself says
    max_concurrency: int | None = Field(default=None, ge=1)  # calls at once in each deployment
    queue: QueueSettings = QueueSettings()
    load: LoadSettings = LoadSettings()
    hedge_after_s: Seconds | None = Field(default=None, gt=0)  # asks a second time; both calls may be billed
    fallbacks: tuple[str, ...] = ()  # models to be asked where this one, as the last, cannot answer
    context_tokens: int | None = Field(default=None, ge=1)
    max_output_tokens: int | None = Field(default=None, ge=1)
    capabilities: frozenset[Capability] | None = None  # default: every one, as far as is known
    ask_logprobs: bool = False  # for the scorer; who has not asked for them does not see them
    probe: bool | None = None  # ask each deployment what it can do; default: where gpu_usd_per_hour is given
    cache_salt: bool = True  # each tenant's own, told to deployments that were seen to be vLLM
    log: tuple[Path, ...] = ()
    recorded_model: str | None = Field(default=None, min_length=1)  # the log's own name; default: ``name``


class VerifierSettings(Section):
    """A gate beside the scorer: what it fails is never accepted. Which further fields it has depends on its kind."""

    name: PolicyName
    kind: Literal["json_schema", "regex", "python", "webhook", "judge"]
    when_passed: Literal["score", "accept"] = "score"  # leave it to the scorer, or accept without one
    timeout_s: Seconds = Field(default=5.0, gt=0)
    schema_file: Path | None = None  # json_schema; default: the request's own response_format
    pattern: str | None = Field(default=None, min_length=1)  # regex
    wanted: bool = True  # regex: false fails answers in which the pattern is found
    entry_point: str | None = Field(default=None, min_length=1)  # python
    url: HttpUrl | None = None  # webhook
    secret: SecretStr | None = None  # webhook
    allowed_networks: tuple[IPvAnyNetwork, ...] = ()  # webhook: may be called although they are not public
    model: str | None = None  # judge
    prompt: str | None = Field(default=None, min_length=1)  # judge


class StickySettings(Section):
    """For how long a conversation that escalated begins at the tier that answered it."""

    turns: int = Field(default=10, ge=1, le=10_000)
    ttl_s: Seconds = Field(default=3600.0, gt=0)


class CanarySettings(Section):
    """A second strategy for a part of the policy's conversations; it goes by the policy's scorer."""

    strategy: Path
    share: float = Field(default=0.05, gt=0, le=0.5)


class ShadowSettings(Section):
    """Asks the strategy's reference model besides, for some of the requests that others answered, and for nobody.

    What the reference would have cost is then seen, where it is only modelled otherwise.
    """

    share: float = Field(default=0.01, gt=0, le=1)
    usd_per_day: Decimal = Field(gt=0, le=1_000_000, decimal_places=9, allow_inf_nan=False)  # all of the policy's


class PolicySettings(Section):
    """How a request for ``cascade/<name>`` is answered. Without a strategy the safe model answers alone."""

    name: PolicyName
    safe_model: str
    strategy: Path | None = None
    scorer: Path | None = None
    cache: Literal["deterministic", "all", "off"] = "deterministic"
    unlike_rate: float = Field(default=0.01, ge=0, lt=1)  # of traffic like the training log, doubted; 0: nothing is
    when_unaffordable: Literal["best_answer", "refuse"] = "best_answer"  # where a budget ends a cascade early
    streaming: Literal["buffer", "prefix", "final"] = "buffer"  # when a stream's first word may go out
    canary: CanarySettings | None = None  # none: the strategy answers every conversation
    shadow: ShadowSettings | None = None  # none: what the reference model would have cost is only modelled
    sticky: StickySettings | None = None  # none: every turn of a conversation begins with the first tier
    verifiers: tuple[VerifierSettings, ...] = ()
    on_failed_verification: Literal["return", "refuse"] = "return"  # where every answer failed one


class Settings(Section):
    """A whole configuration file."""

    server: ServerSettings = ServerSettings()
    database: DatabaseSettings = DatabaseSettings()
    ledger: LedgerSettings = LedgerSettings()
    auth: AuthSettings = AuthSettings()
    admin: AdminSettings = AdminSettings()
    redis: RedisSettings | None = None
    reload: ReloadSettings = ReloadSettings()
    rate_limits: RateLimitSettings = RateLimitSettings()
    alerts: AlertSettings = AlertSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    cache: CacheSettings = CacheSettings()
    idempotency: IdempotencySettings = IdempotencySettings()
    transcripts: TranscriptSettings = TranscriptSettings()
    prices: Path | None = None
    models: tuple[ModelSettings, ...] = Field(min_length=1)
    policies: tuple[PolicySettings, ...] = ()
    default_policy: str | None = None

    _file: ConfigFile = PrivateAttr(default_factory=lambda: ConfigFile(Path("spillway.yaml")))

    def from_file(self, file: ConfigFile) -> Self:
        """Remember where these settings were written down."""
        self._file = file
        return self

    @property
    def path(self) -> Path:
        """The file that these settings come from."""
        return self._file.path

    def locate(self, path: Path) -> Path:
        """A path of the file, made absolute: relative ones are relative to the configuration file."""
        return (self._file.path.parent / path.expanduser()).resolve()

    @property
    def database_url(self) -> str:
        """The database's URL with its SQLite path made absolute. May hold a password."""
        url = self.database.url.get_secret_value()
        head, separator, path = url.partition(":///")
        if not separator or not head.startswith("sqlite") or path in ("", ":memory:") or path.startswith("/"):
            return url
        file, mark, options = path.partition("?")
        return f"{head}:///{self.locate(Path(file))}{mark}{options}"

    @property
    def default(self) -> PolicySettings | None:
        """The policy that ``auto`` names: the named one, or the only one."""
        if self.default_policy is None:
            return self.policies[0] if len(self.policies) == 1 else None
        return next((policy for policy in self.policies if policy.name == self.default_policy), None)

    def refuse(self, where: FieldPath, message: str) -> ConfigError:
        """An error at a field of the file, for those who find out later that its content does not fit."""
        return ConfigError([self._file.problem(where, message)])
