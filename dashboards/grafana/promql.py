"""Expressions of PromQL over one gateway's series, and how charts of them look. Knows no metric."""

from dashboards.grafana.parts import Look

MINE = 'job=~"$job"'
SECONDS, SHARE = Look(unit="s"), Look(unit="percentunit", most=1.0)
USD = Look(unit="currencyUSD", stacked=True)
WHOLE = Look(decimals=0)


def rate(metric: str, by: str, more: str = "") -> str:
    """Of a counter, a second. more : further matchers."""
    matchers = ", ".join(filter(None, (MINE, more)))
    return f"sum by ({by}) (rate({metric}{{{matchers}}}[$__rate_interval]))"


def quantile(q: float, metric: str, by: str) -> str:
    """Of a histogram."""
    return f"histogram_quantile({q}, sum by (le, {by}) (rate({metric}_bucket{{{MINE}}}[$__rate_interval])))"


def now(metric: str, by: str, how: str = "sum") -> str:
    """Of a gauge."""
    return f"{how} by ({by}) ({metric}{{{MINE}}})"
