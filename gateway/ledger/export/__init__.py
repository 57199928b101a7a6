"""The ledger as files for other programs: row by row or summed, as CSV or Parquet."""
