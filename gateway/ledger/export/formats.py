"""How records become the bytes of a file, a little at a time: CSV, or Parquet where pyarrow is installed.

CSV: UTF-8, a header, moments in ISO 8601, exact decimals; what is unknown is empty. Parquet: 64-bit integers, decimals
(never floats) for money and rates, timestamps in UTC. Knows formats. Knows no table.
"""

import csv
import io
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, Protocol

from gateway.errors import GatewayError, InvalidRequest
from gateway.ledger.export.columns import EXACT_DECIMALS, USD_DECIMALS, Column, Kind, Pages, Record

Format = Literal["csv", "parquet"]
MEDIA_TYPES: dict[Format, str] = {"csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet"}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ROWS_PER_GROUP = 10_000
_DIGITS = 38  # what a 128-bit decimal holds, the widest that readers of Parquet commonly take


class CannotExport(GatewayError):
    """A file of that format cannot be made here, or not of these values."""


class Encoder(Protocol):
    """Makes one file. Each part is to be written after the one before."""

    def add(self, records: Sequence[Record]) -> bytes:
        """What can be written now."""

    def end(self) -> bytes:
        """The rest."""


async def encoded(encoder: Encoder, pages: Pages) -> AsyncGenerator[bytes]:
    """The whole file in parts."""
    async for page in pages:
        part = encoder.add(page)
        if part:
            yield part
    yield encoder.end()


def checked_format(name: str) -> Format:
    """As it was given. Raises InvalidRequest."""
    if name not in MEDIA_TYPES:
        raise InvalidRequest("format must be csv or parquet", param="format", code="invalid_parameter")
    return name


def encoder_of(name: Format, columns: Sequence[Column]) -> Encoder:
    """Raises CannotExport."""
    return CsvEncoder(columns) if name == "csv" else ParquetEncoder(columns)


class CsvEncoder:
    """A header and one line a record."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._text = io.StringIO(newline="")
        self._writer = csv.writer(self._text, lineterminator="\n")
        self._writer.writerow([column.name for column in columns])
        self._told = [_TOLD.get(column.kind) for column in columns]

    def add(self, records: Sequence[Record]) -> bytes:
        """One line each."""
        for record in records:
            self._writer.writerow(
                [
                    value if value is None or say is None else say(value)
                    for value, say in zip(record, self._told, strict=True)
                ]
            )
        return self.end()

    def end(self) -> bytes:
        """What was not taken yet."""
        said = self._text.getvalue().encode()
        self._text.seek(0)
        self._text.truncate()
        return said


def moment_told(microseconds: int) -> str:
    """ISO 8601 in UTC.

    >>> moment_told(1_500_000)
    '1970-01-01T00:00:01.500000Z'
    """
    return (_EPOCH + timedelta(microseconds=microseconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _plain(value: Decimal) -> str:
    """Without exponent or needless zeros."""
    told = format(value, "f")
    return (told.rstrip("0").rstrip(".") or "0") if "." in told else told


_TOLD: dict[Kind, Callable[[Any], str]] = {
    "usd": _plain,
    "exact": _plain,
    "decimal": lambda value: told if "." in (told := _plain(value)) else f"{told}.0",
    "moment": moment_told,
    "second": lambda value: moment_told(value).partition(".")[0] + "Z",
    "truth": lambda value: "true" if value else "false",
}


class ParquetEncoder:
    """Row groups of 10,000 records each, compressed by zstd. Raises CannotExport where pyarrow is not installed."""

    def __init__(self, columns: Sequence[Column]) -> None:
        try:
            import pyarrow as pa  # noqa: PLC0415 - an extra, for those who want Parquet
            from pyarrow import parquet as pq  # noqa: PLC0415
        except ImportError:
            raise CannotExport("Parquet needs the package pyarrow: pip install 'spillway[parquet]'") from None
        self._arrow = pa
        self._columns = columns
        types = {
            "text": pa.string(),
            "whole": pa.int64(),
            "usd": pa.decimal128(_DIGITS, USD_DECIMALS),
            "exact": pa.decimal128(_DIGITS, EXACT_DECIMALS),
            "decimal": pa.decimal128(_DIGITS, EXACT_DECIMALS),
            "moment": pa.timestamp("us", tz="UTC"),
            "second": pa.timestamp("us", tz="UTC"),
            "truth": pa.bool_(),
            "number": pa.float64(),
        }
        self._schema = pa.schema([(column.name, types[column.kind]) for column in columns])
        self._sink = _Sink()
        self._writer = pq.ParquetWriter(pa.PythonFile(self._sink, mode="w"), self._schema, compression="zstd")
        self._waiting: list[Record] = []

    def add(self, records: Sequence[Record]) -> bytes:
        """What is whole groups."""
        self._waiting.extend(records)
        if len(self._waiting) < _ROWS_PER_GROUP:
            return b""
        self._write()
        return self._sink.taken()

    def end(self) -> bytes:
        """The last group and the footer, without which the file cannot be read."""
        if self._waiting:
            self._write()
        self._writer.close()
        return self._sink.taken()

    def _write(self) -> None:
        arrays = []
        for n, field in enumerate(self._schema):
            try:
                arrays.append(self._arrow.array([record[n] for record in self._waiting], field.type))
            except (self._arrow.ArrowException, OverflowError) as error:
                raise CannotExport(f"{field.name}: a value does not fit into {field.type}: {error}") from error
        self._writer.write_table(self._arrow.table(arrays, schema=self._schema))
        self._waiting.clear()


class _Sink:
    """A file that is only ever written to, and keeps what was not taken yet."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, part: Any) -> int:
        data = bytes(part)
        self._parts.append(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """What was written stays to be taken."""

    def taken(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        return data
