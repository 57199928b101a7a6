"""Replay, search, scoring and labels over logs that are parted into files: each file by itself, sums put together."""
