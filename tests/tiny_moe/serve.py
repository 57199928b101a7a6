"""Serves the tiny mixture of experts by OpenAI's protocol: whole, in a stream, n, true log-probabilities, load.

    python -m tests.tiny_moe.serve --weights DIR [--port 0]

Prints its base URL once it listens. One answer is made at a time, as ``/metrics`` tells in vLLM's words. What it does
not know, such as tools and schemas, it refuses. Needs torch, transformers.
"""

import argparse
import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any

import torch

from tests.tiny_moe.train import ANSWER, END, configuration, decoded, encoded, fresh

NAME = "tiny-moe"
_CONTEXT = 64
_REFUSED = ("tools", "functions", "response_format", "stop")


class Engine:
    """The model, and who is at it."""

    def __init__(self, weights: Path) -> None:
        self._model = fresh(configuration())
        self._model.load_state_dict(torch.load(weights / "weights.pt", weights_only=True))
        self._model.eval()
        self._turn, self._counting = Lock(), Lock()
        self.inside = self.prompted = self.made = 0

    @property
    def running(self) -> int:
        return min(self.inside, 1)

    def tokens(self, prompt: list[int], asked: dict[str, Any], choice: int) -> Iterator[tuple[int, torch.Tensor]]:
        """Token by token, each with the log-probabilities that it was chosen by. The last may be the end's."""
        temperature = float(asked.get("temperature", 1.0))
        chance = torch.Generator()
        chance.manual_seed(int(asked["seed"]) + choice if "seed" in asked else time.time_ns() % 2**31)
        inputs, past = torch.tensor([[*prompt, ANSWER]]), None
        for _ in range(_limit(prompt, asked)):
            with torch.inference_mode():
                out = self._model(input_ids=inputs, past_key_values=past, use_cache=True)
            past = out.past_key_values
            logprobs = out.logits[0, -1].float().log_softmax(dim=-1)
            if temperature == 0:
                token = int(logprobs.argmax())
            else:
                token = int(torch.multinomial((logprobs / temperature).softmax(dim=-1), 1, generator=chance))
            yield token, logprobs
            if token == END:
                return
            inputs = torch.tensor([[token]])

    def __enter__(self) -> "Engine":
        with self._counting:
            self.inside += 1
        self._turn.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self._turn.release()
        with self._counting:
            self.inside -= 1


def _limit(prompt: list[int], asked: dict[str, Any]) -> int:
    most = asked.get("max_completion_tokens") or asked.get("max_tokens") or _CONTEXT
    return max(1, min(int(most), _CONTEXT - len(prompt) - 1))


def _prompt(asked: dict[str, Any]) -> list[int]:
    """The last question: a model this small has no conversations."""
    said = [message["content"] for message in asked["messages"] if message.get("role") == "user"]
    return encoded(said[-1] if said else "")[: _CONTEXT - 8]


def _told(token: int, logprobs: torch.Tensor, most: int) -> dict[str, Any]:
    best = torch.topk(logprobs, most) if most else None
    others = [] if best is None else zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return _named(token, float(logprobs[token])) | {"top_logprobs": [_named(*other) for other in others]}


def _named(token: int, logprob: float) -> dict[str, Any]:
    text = decoded(token) or "<end>"
    return {"token": text, "logprob": logprob, "bytes": list(text.encode())}


class Handler(BaseHTTPRequestHandler):
    """Answers requests with its engine."""

    engine: Engine
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing: tests read what it prints."""

    def do_GET(self) -> None:
        if self.path.endswith("/models"):
            card = {"id": NAME, "object": "model", "max_model_len": _CONTEXT}
            self._json(200, {"object": "list", "data": [card]})
        elif self.path == "/metrics":
            waiting = max(0, self.engine.inside - 1)
            told = {"num_requests_running": self.engine.running, "num_requests_waiting": waiting}
            lines = [f'vllm:{name}{{model_name="{NAME}"}} {value}' for name, value in told.items()]
            lines += [
                f"vllm:prompt_tokens_total {self.engine.prompted}",
                f"vllm:generation_tokens_total {self.engine.made}",
            ]
            self._send(200, "\n".join(lines).encode() + b"\n", "text/plain")
        else:
            self._json(404, {"error": {"message": "not served here"}})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        refused = [name for name in _REFUSED if asked.get(name)]
        if not self.path.endswith("/chat/completions") or refused:
            said = f"{', '.join(refused) or self.path} is not served here"
            self._json(400, {"error": {"message": said, "type": "invalid_request_error"}})
            return
        with self.engine:
            (self._streamed if asked.get("stream") else self._whole)(asked, _prompt(asked))

    def _whole(self, asked: dict[str, Any], prompt: list[int]) -> None:
        choices, made = [], 0
        for n in range(int(asked.get("n") or 1)):
            tokens = list(self.engine.tokens(prompt, asked, n))
            made += len(tokens)
            choices.append(_choice(n, tokens, asked))
        self._json(200, _top("chat.completion") | {"choices": choices, "usage": self._usage(prompt, made)})

    def _streamed(self, asked: dict[str, Any], prompt: list[int]) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        made, ended = 0, False
        for token, logprobs in self.engine.tokens(prompt, asked, 0):
            made, ended = made + 1, token == END
            told = {"content": [_told(token, logprobs, asked.get("top_logprobs") or 0)]}
            choice = {"index": 0, "delta": {"role": "assistant", "content": decoded(token)}, "finish_reason": None}
            self._event([choice | {"logprobs": told if asked.get("logprobs") else None}])
        self._event([{"index": 0, "delta": {}, "finish_reason": "stop" if ended else "length"}])
        if (asked.get("stream_options") or {}).get("include_usage"):
            self._event([], usage=self._usage(prompt, made))
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def _event(self, choices: list[dict[str, Any]], **more: Any) -> None:
        body = _top("chat.completion.chunk") | {"choices": choices, **more}
        self.wfile.write(b"data: " + json.dumps(body).encode() + b"\n\n")
        self.wfile.flush()

    def _usage(self, prompt: list[int], made: int) -> dict[str, int]:
        read = len(prompt) + 1
        self.engine.prompted, self.engine.made = self.engine.prompted + read, self.engine.made + made
        return {"prompt_tokens": read, "completion_tokens": made, "total_tokens": read + made}

    def _json(self, status: int, body: dict[str, Any]) -> None:
        self._send(status, json.dumps(body).encode(), "application/json")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _choice(n: int, tokens: list[tuple[int, torch.Tensor]], asked: dict[str, Any]) -> dict[str, Any]:
    text = "".join(decoded(token) for token, _ in tokens)
    told = [_told(token, logprobs, asked.get("top_logprobs") or 0) for token, logprobs in tokens]
    return {
        "index": n,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop" if tokens and tokens[-1][0] == END else "length",
        "logprobs": {"content": told} if asked.get("logprobs") else None,
    }


def _top(kind: str) -> dict[str, Any]:
    return {"id": f"moe-{time.time_ns():x}", "object": kind, "created": int(time.time()), "model": NAME}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    server = ThreadingHTTPServer(
        ("127.0.0.1", asked.port), type("Serving", (Handler,), {"engine": Engine(asked.weights)})
    )
    server.daemon_threads = True
    print(f"http://127.0.0.1:{server.server_address[1]}/v1", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
