"""A service of the operator's that is asked over HTTP.

Sent is ``{"query": {"messages", "tools", "response_format"}, "answer": {"model", "text", "tool_calls",
"finish_reason"}}``.
With a secret, ``x-spillway-signature: t=<unix seconds>,v1=<hex>`` signs ``<unix seconds>.<body>`` by HMAC-SHA256. It
answers 200 and ``{"verdict": "pass" | "fail" | "abstain", "reason": "…"}``; everything else is an abstention.
"""

import hashlib
import hmac
import time
from typing import Any

import orjson

from router.egress import Egress
from router.verifiers.verifier import Consult, Finding, abstain
from scorer.answer import Answer, Query


class WebhookVerifier:
    """egress : calls no other addresses than it may."""

    def __init__(self, url: str, egress: Egress, *, timeout_s: float, secret: str | None = None) -> None:
        self._url, self._egress, self._timeout_s, self._secret = url, egress, timeout_s, secret

    async def verify(self, query: Query, answer: Answer, consult: Consult) -> Finding:
        """Ask the service."""
        body = orjson.dumps(_told(query, answer), default=str)
        headers = {} if self._secret is None else {"x-spillway-signature": signature(self._secret, body, time.time())}
        status, raw = await self._egress.post_json(
            self._url, body, timeout_s=self._timeout_s, headers=headers, most_bytes=65_536
        )
        if status != 200:
            return abstain(f"the webhook answered {status}")
        try:
            told = orjson.loads(raw)
        except orjson.JSONDecodeError:
            return abstain("the webhook answered no JSON")
        verdict = told.get("verdict") if isinstance(told, dict) else None
        if verdict not in ("pass", "fail", "abstain"):
            return abstain("the webhook gave no verdict")
        return Finding(said=verdict, reason=str(told.get("reason") or "")[:200])


def signature(secret: str, body: bytes, now: float) -> str:
    """What stands in ``x-spillway-signature``."""
    moment = str(int(now))
    signed = hmac.new(secret.encode(), moment.encode() + b"." + body, hashlib.sha256)
    return f"t={moment},v1={signed.hexdigest()}"


def _told(query: Query, answer: Answer) -> dict[str, Any]:
    return {
        "query": {"messages": query.messages, "tools": query.tools, "response_format": query.response_format},
        "answer": {
            "model": answer.model,
            "text": answer.text,
            "tool_calls": answer.tool_calls,
            "finish_reason": answer.finish_reason,
        },
    }
