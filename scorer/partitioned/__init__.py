"""Logs as folders of Parquet, parted by split and by hash: for logs that are too large to be read as one."""
