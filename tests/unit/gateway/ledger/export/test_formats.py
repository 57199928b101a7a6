"""The bytes of files: exact in both formats, and what does not fit is named."""

import io
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet as pq

from gateway.ledger.export.columns import columns, usd_of
from gateway.ledger.export.formats import CannotExport, CsvEncoder, ParquetEncoder, encoder_of

COLUMNS = columns(name="text", calls="whole", cost_usd="usd", rate_usd="exact", at="moment", streamed="truth")
ROW = ('a,"b"\n', 2**53 + 1, Decimal("0.000000001"), Decimal("0.0750"), 1_700_000_000_000_001, True)


def read(data: bytes) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for row in pq.read_table(io.BytesIO(data)).to_pylist()]


def test_csv_is_exact_and_leaves_empty_what_is_unknown() -> None:
    encoder = CsvEncoder(COLUMNS)
    said = encoder.add([ROW]) + encoder.add([(None,) * 6]) + encoder.end()
    assert said.decode() == (
        "name,calls,cost_usd,rate_usd,at,streamed\n"
        '"a,""b""\n",9007199254740993,0.000000001,0.075,2023-11-14T22:13:20.000001Z,true\n'
        ",,,,,\n"
    )


def test_parquet_holds_the_same_values() -> None:
    encoder = ParquetEncoder(COLUMNS)
    ((name, calls, cost, rate, at, streamed), empty) = read(encoder.add([ROW, (None,) * 6]) + encoder.end())
    assert (name, calls, cost, rate, streamed) == (*ROW[:4], True)
    assert str(at) == "2023-11-14 22:13:20.000001+00:00"
    assert empty == (None,) * 6


def test_a_long_parquet_file_comes_in_parts_as_it_is_made() -> None:
    encoder = ParquetEncoder(columns(n="whole"))
    parts = [encoder.add([(n,) for n in range(start, start + 1000)]) for start in range(0, 25_000, 1000)]
    assert sum(part != b"" for part in parts) == 2
    assert [n for (n,) in read(b"".join(parts) + encoder.end())] == list(range(25_000))


@given(st.integers(-(2**63), 2**63 - 1))
def test_amounts_are_exact_to_the_last_nano(nanousd: int) -> None:
    encoder = ParquetEncoder(columns(amount_nanousd="whole", amount_usd="usd"))
    ((whole, usd),) = read(encoder.add([(nanousd, usd_of(nanousd))]) + encoder.end())
    assert (whole, usd * 10**9) == (nanousd, nanousd)  # type: ignore[operator] # a Decimal


def test_a_rate_too_fine_for_parquet_is_refused_by_name_and_not_rounded() -> None:
    encoder = encoder_of("parquet", columns(rate_usd="exact"))
    encoder.add([(Decimal(1).scaleb(-19),)])
    with pytest.raises(CannotExport, match="rate_usd"):
        encoder.end()
