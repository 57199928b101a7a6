"""Logged answers with quality labels: the log format, its reader, its split.

Knows the file format (gzip or plain JSONL, one query a line). Knows no feature and no model.
"""
