"""Which column of a provider's file says what: built in for exports whose columns are known, else from a file.

Knows columns and words of files. Knows no ledger.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from gateway.errors import GatewayError

_SUFFIX = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8}|latest)$")


class BadInvoice(GatewayError):
    """A file, or the description of its columns, cannot be read."""


class Columns(BaseModel):
    """What stands where.

    day : of the usage: a day, a moment in ISO 8601, or seconds since 1970.   zone : in which days of the file begin.
    model : none: the file is of all models together.   line_item : instead of ``model``: "model, meter".
    meter : a column that names a meter, in words of ``meters``; or ``counts``: by meter, columns of counts.
    less : by meter, columns whose counts another column contains and that are to be taken off it.
    quantity, amount : of a row.   unit : of amounts.   currency : a column; none: USD.   exchange : USD for one.
    models : the file's names of models, where they are not the configured ones.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    day: str
    zone: str = "UTC"
    model: str | None = None
    line_item: str | None = None
    meter: str | None = None
    meters: Mapping[str, str] = Field(default_factory=dict)
    counts: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    less: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    quantity: str | None = None
    amount: str | None = None
    unit: Literal["usd", "cents"] = "usd"
    currency: str | None = None
    exchange: Mapping[str, Decimal] = Field(default_factory=dict)
    models: Mapping[str, str] = Field(default_factory=dict)

    @field_validator("zone")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError("is no time zone; UTC or America/Los_Angeles would be right") from error
        return value

    @model_validator(mode="after")
    def _says_something(self) -> "Columns":
        if not (self.counts or self.quantity or self.amount):
            raise ValueError("neither counts, nor quantity, nor amount: there is nothing to compare")
        return self

    @property
    def by_meter(self) -> bool:
        """Whether meters can be told apart."""
        return bool(self.meter or self.counts or self.line_item)

    @property
    def by_model(self) -> bool:
        """Whether models can be told apart."""
        return bool(self.model or self.line_item)


_TOKEN_TYPES = {
    "input_no_cache": "input",
    "uncached_input_tokens": "input",
    "input": "input",
    "input_cache_read": "cached_input",
    "cache_read_input_tokens": "cached_input",
    "cached input": "cached_input",
    "input_cache_write_5m": "cache_write",
    "input_cache_write_1h": "cache_write",
    "output": "output",
    "output_tokens": "output",
}

BUILT_IN: Mapping[str, Columns] = {
    "openai-usage": Columns(
        day="start_time_iso",
        model="model",
        counts={"input": ("input_tokens",), "cached_input": ("input_cached_tokens",), "output": ("output_tokens",)},
        less={"input": ("input_cached_tokens",)},
    ),
    "openai-costs": Columns(
        day="start_time_iso",
        line_item="line_item",
        meters=_TOKEN_TYPES,
        amount="amount_value",
        currency="amount_currency",
        quantity="quantity",
    ),
    "anthropic-usage": Columns(
        day="usage_date_utc",
        model="model_version",
        counts={
            "input": ("usage_input_tokens_no_cache",),
            "cached_input": ("usage_input_tokens_cache_read",),
            "cache_write": ("usage_input_tokens_cache_write_5m", "usage_input_tokens_cache_write_1h"),
            "output": ("usage_output_tokens",),
        },
    ),
    "anthropic-cost": Columns(
        day="usage_date_utc", model="model", meter="token_type", meters=_TOKEN_TYPES, amount="cost_usd"
    ),
}


def columns_for(name: str | None, path: Path | None, header: frozenset[str]) -> Columns:
    """The named ones, those of a file, or the built-in ones that all stand in the header. Raises BadInvoice."""
    if path is not None:
        return _load(path)
    if name is not None:
        if name not in BUILT_IN:
            raise BadInvoice(f"--columns: {name!r} is neither a file nor one of {', '.join(BUILT_IN)}")
        return BUILT_IN[name]
    for columns in BUILT_IN.values():
        if _needed(columns) <= header:
            return columns
    raise BadInvoice(
        f"its columns are of no known export ({', '.join(BUILT_IN)}); say with --columns FILE what they are"
    )


def plain_model(name: str) -> str:
    """As names are compared: without the provider before it, spaces and dots.

    >>> plain_model("Claude Haiku 4.5"), plain_model("openai/gpt-4o-mini")
    ('claude-haiku-4-5', 'gpt-4o-mini')
    """
    return re.sub(r"[ .]+", "-", name.strip().lower().rpartition("/")[2])


def undated_model(name: str) -> str:
    """Without the day of its version.

    >>> undated_model("gpt-4o-2024-08-06"), undated_model("claude-haiku-4-5-20251001")
    ('gpt-4o', 'claude-haiku-4-5')
    """
    return _SUFFIX.sub("", name)


def _needed(columns: Columns) -> frozenset[str]:
    named = (columns.day, columns.model, columns.line_item, columns.meter, columns.amount, columns.currency)
    counted = [name for names in columns.counts.values() for name in names]
    return frozenset([name for name in named if name is not None] + counted)


def _load(path: Path) -> Columns:
    try:
        return Columns.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise BadInvoice(f"{path}: cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise BadInvoice(f"{path}: is no YAML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise BadInvoice(f"{path}: {where}: {first['msg']}") from error
