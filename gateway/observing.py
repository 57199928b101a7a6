"""What the configuration says of telemetry, made into what records it.

Knows settings and the extra that traces need. Loads OpenTelemetry only where a collector is configured.
"""

from collections.abc import Callable, Mapping

from gateway.config.models import providers
from gateway.config.settings import Settings
from gateway.telemetry.tracing import Tracing


def tracing_of(settings: Settings, serving: Callable[[], Settings]) -> Tracing | None:
    """None where no collector is configured. serving : the settings of the moment. Raises ConfigError."""
    told = settings.telemetry.otlp
    if told is None:
        return None
    try:
        from gateway.telemetry.otlp import Called, Collector, Otlp  # noqa: PLC0415 - an extra, for those who trace
    except ImportError:
        raise settings.refuse(
            ("telemetry", "otlp"), "needs the package opentelemetry-sdk: pip install 'spillway[otel]'"
        ) from None
    collector = Collector(
        endpoint=told.endpoint,
        headers={name: value.get_secret_value() for name, value in told.headers.items()},
        sample_ratio=told.sample_ratio,
        timeout_s=told.timeout_s,
        queue=told.queue,
        spans_every_s=told.spans_every_s,
        metrics_every_s=told.metrics_every_s,
    )
    known: tuple[Settings, Mapping[str, Called]] | None = None

    def called(model: str) -> Called:
        nonlocal known
        now = serving()
        if known is None or known[0] is not now:
            providing = providers(now)
            known = (
                now,
                {
                    one.name: Called(
                        provider=providing.get(one.name, one.backend), upstream_model=one.upstream_model or one.name
                    )
                    for one in now.models
                },
            )
        return known[1].get(model) or Called(provider="unknown", upstream_model=model)

    return Otlp(collector, called)
