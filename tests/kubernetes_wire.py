"""Bodies as Kubernetes clients send them: JSON, or protobuf for the Secret in which Helm keeps a release."""

import base64
from collections.abc import Iterator
from typing import Any

import yaml

MAGIC = b"k8s\x00"
RAW, NAME, NAMESPACE, LABELS, META, DATA, TYPE = (
    2,
    1,
    3,
    11,
    1,
    2,
    3,
)  # field numbers of runtime.Unknown, ObjectMeta, Secret


def body(content: bytes) -> dict[str, Any]:
    """The object in a request's body; of protobuf only as much of a Secret as Helm writes."""
    if not content.startswith(MAGIC):
        return yaml.safe_load(content) or {}
    raw = dict(fields(content[len(MAGIC) :]))[RAW]
    metadata: dict[str, Any] = {"labels": {}}
    secret: dict[str, Any] = {"metadata": metadata, "data": {}}
    for number, value in fields(raw):
        if number == META:
            for part, inner in fields(value):
                if part == LABELS:
                    metadata["labels"] |= [tuple(text.decode() for text in dict(fields(inner)).values())]
                elif part in (NAME, NAMESPACE):
                    metadata["name" if part == NAME else "namespace"] = inner.decode()
        elif number == DATA:
            key, datum = dict(fields(value)).values()
            secret["data"][key.decode()] = base64.b64encode(datum).decode()
        elif number == TYPE:
            secret["type"] = value.decode()
    return secret


def fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """The fields of a protobuf message that have a length, by number; plain integers are passed over."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        length, at = _varint(message, at)
        if key & 7 == 2:
            yield key >> 3, message[at : at + length]
            at += length
        elif key & 7:
            raise ValueError(f"wire type {key & 7} is not known here")


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte, at = message[at], at + 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
