"""Providers' exports are read by their columns, and what cannot be read is named by line and column."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from gateway.ledger.reconcile.invoice import Charged, read_invoice
from gateway.ledger.reconcile.mapping import BadInvoice

OPENAI_USAGE = """start_time,end_time,start_time_iso,end_time_iso,num_model_requests,input_tokens,output_tokens,\
input_cached_tokens,model
1761523200,1761609600,2025-10-27T00:00:00+00:00,2025-10-28T00:00:00+00:00,3,1000,50,800,gpt-4o-2024-08-06
1761609600,1761696000,2025-10-28T00:00:00+00:00,2025-10-29T00:00:00+00:00,,,,,
"""
OPENAI_COSTS = """start_time,start_time_iso,amount_value,amount_currency,quantity,line_item
1761523200,2025-10-27T00:00:00+00:00,0.0005,usd,200,"gpt-4o-2024-08-06, input"
1761523200,2025-10-27T00:00:00+00:00,0.0010,usd,800,"gpt-4o-2024-08-06, cached input"
1761523200,2025-10-27T00:00:00+00:00,0.0600,usd,,
1761609600,2025-10-28T00:00:00+00:00,,,,
"""
ANTHROPIC_USAGE = """usage_date_utc,model_version,api_key,workspace,usage_input_tokens_no_cache,\
usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,usage_output_tokens
2026-10-27,claude-haiku-4-5-20251001,app,Default,100,20,3,4,50
2026-10-27,claude-haiku-4-5-20251001,other,Default,100,20,3,4,50
"""
ANTHROPIC_COST = """usage_date_utc,model,workspace,api_key,token_type,cost_usd,list_price_usd
2026-10-27,Claude Haiku 4.5,Default,app,input_no_cache,0.05,0.05
2026-10-27,Claude Haiku 4.5,Default,app,input_cache_write_1h,0.02,0.02
"""
DAY, LATER = date(2025, 10, 27), date(2026, 10, 27)


def written(folder: Path, text: str) -> Path:
    path = folder / "invoice.csv"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "charges"),
    [
        (
            OPENAI_USAGE,
            {
                (DAY, "gpt-4o-2024-08-06", "input"): Charged(200),
                (DAY, "gpt-4o-2024-08-06", "cached_input"): Charged(800),
                (DAY, "gpt-4o-2024-08-06", "output"): Charged(50),
            },
        ),
        (
            OPENAI_COSTS,
            {
                (DAY, "gpt-4o-2024-08-06", "input"): Charged(200, Decimal("0.0005")),
                (DAY, "gpt-4o-2024-08-06", "cached_input"): Charged(800, Decimal("0.001")),
                (DAY, "*", "*"): Charged(None, Decimal("0.06")),
            },
        ),
        (
            ANTHROPIC_USAGE,
            {
                (LATER, "claude-haiku-4-5-20251001", "input"): Charged(200),
                (LATER, "claude-haiku-4-5-20251001", "cache_write"): Charged(46),
                (LATER, "claude-haiku-4-5-20251001", "cached_input"): Charged(8),
                (LATER, "claude-haiku-4-5-20251001", "output"): Charged(100),
            },
        ),
        (
            ANTHROPIC_COST,
            {
                (LATER, "claude-haiku-4-5", "input"): Charged(None, Decimal("0.05")),
                (LATER, "claude-haiku-4-5", "cache_write"): Charged(None, Decimal("0.02")),
            },
        ),
    ],
    ids=["openai usage", "openai costs", "anthropic usage", "anthropic cost"],
)
def test_the_columns_of_known_exports_are_told_from_their_header(
    tmp_path: Path, text: str, charges: dict[tuple[date, str, str], Charged]
) -> None:
    invoice = read_invoice(written(tmp_path, text))
    assert invoice.charges == charges
    assert not invoice.repeated


def test_a_row_that_stands_twice_is_kept_apart(tmp_path: Path) -> None:
    twice = ANTHROPIC_USAGE + ANTHROPIC_USAGE.splitlines()[1] + "\n"
    invoice = read_invoice(written(tmp_path, twice))
    assert invoice.repeated[LATER, "claude-haiku-4-5-20251001", "output"] == Charged(50)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", "of no known export"),
        (OPENAI_USAGE.replace("1000,50", "many,50"), "line 2, input_tokens: 'many' is no number"),
        (OPENAI_USAGE.replace("2025-10-27T00:00:00+00:00,", "yesterday,", 1), "line 2, start_time_iso: 'yesterday'"),
        ("usage_date_utc,model,token_type,cost_usd\n2026-10-27\n", "line 2: there is no column 'model'"),
        ("", "of no known export"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadInvoice, match=said):
        read_invoice(written(tmp_path, text))


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ("day: d\n", "nothing to compare"),
        ("day: d\nquantity: q\nzone: Mars\n", "zone: .*is no time zone"),
        ("day: d\nquantity: q\ncolour: red\n", "colour"),
        ("day: [", "is no YAML"),
    ],
)
def test_a_description_of_columns_that_is_wrong_is_named(tmp_path: Path, mapping: str, said: str) -> None:
    path = tmp_path / "columns.yaml"
    path.write_text(mapping)
    with pytest.raises(BadInvoice, match=said):
        read_invoice(written(tmp_path, "d,q\n"), mapping=path)


def test_a_file_without_usage_says_so(tmp_path: Path) -> None:
    invoice = read_invoice(written(tmp_path, "\n".join(OPENAI_USAGE.splitlines()[::2]) + "\n"))
    with pytest.raises(BadInvoice, match="no rows"):
        _ = invoice.days
