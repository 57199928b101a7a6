"""A Kubernetes API server on loopback, for Helm's own client: discovery, objects, server-side apply, lists, watches.

    with serving(Cluster()) as url, helm.Config(kube_apiserver=url, namespace="llm") as releases:
        releases.install("helm/spillway", "spillway", wait="watcher")

Knows HTTP; what is stored and what becomes of it is `tests.kubernetes_cluster`'s.
"""

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import kubernetes_validate

from tests.kubernetes_cluster import BUILT_IN, Cluster, Kind, Manifest, Refused
from tests.kubernetes_wire import body

VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]
VERSION = {"major": "1", "minor": "34", "gitVersion": "v1.34.0"}


class Address(NamedTuple):
    """What a path names: a kind, a namespace or none, a name or none, a part of the object or none."""

    kind: Kind
    namespace: str
    name: str
    part: str


@contextmanager
def serving(cluster: Cluster) -> Iterator[str]:
    """The cluster's API for as long as the block lasts, at a path of its own: clients remember what a host offered."""
    prefix = f"/{uuid.uuid4().hex[:12]}"
    handler = type("Handler", (_Handler,), {"cluster": cluster, "prefix": prefix})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}{prefix}"
        finally:
            cluster.close()
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    cluster: Cluster
    prefix: str
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass

    def _serve(self, answer: Callable[[str, dict[str, str], Manifest], tuple[int, Any]]) -> None:
        content = self.rfile.read(int(self.headers.get("content-length") or 0))
        url = urlsplit(self.path.removeprefix(self.prefix))
        query = {key: values[-1] for key, values in parse_qs(url.query).items()}
        try:
            self._send(*answer(url.path, query, body(content)))
        except Refused as refused:
            status = {"kind": "Status", "apiVersion": "v1", "status": "Failure"}
            self._send(
                refused.code, {**status, "code": refused.code, "reason": refused.reason, "message": str(refused)}
            )
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def do_GET(self) -> None:
        self._serve(self._get)

    def do_POST(self) -> None:
        self._serve(self._post)

    def do_PUT(self) -> None:
        self._serve(self._put)

    def do_PATCH(self) -> None:
        self._serve(self._patch)

    def do_DELETE(self) -> None:
        self._serve(self._delete)

    def _get(self, path: str, query: dict[str, str], _: Manifest) -> tuple[int, Any]:
        if (found := discovery(self.cluster.kinds, path) or openapi(self.cluster.kinds, path)) is not None:
            return 200, found
        address = self._address(path)
        if address.part == "log":
            return 200, f"{address.name} has spoken\n"
        if address.name:
            return 200, self.cluster.get(address.kind, address.namespace, address.name)
        if query.get("watch") in ("true", "1"):
            return self._watch(address, query)
        with self.cluster.changed:
            items, version = self.cluster.list(address.kind, address.namespace), self.cluster.version
        items = [item for item in items if selected(item, query)]
        kind = f"{address.kind.name}List"
        metadata = {"resourceVersion": str(version)}
        return 200, {"kind": kind, "apiVersion": address.kind.group_version, "metadata": metadata, "items": items}

    def _post(self, path: str, query: dict[str, str], body: Manifest) -> tuple[int, Any]:
        address = self._address(path)
        return 201, self.cluster.create(address.kind, address.namespace, checked(address.kind, body, query))

    def _put(self, path: str, query: dict[str, str], body: Manifest) -> tuple[int, Any]:
        address = self._address(path)
        return 200, self.cluster.replace(address.kind, address.namespace, address.name, body)

    def _patch(self, path: str, query: dict[str, str], body: Manifest) -> tuple[int, Any]:
        address = self._address(path)
        if "apply" in self.headers["content-type"]:
            body = checked(address.kind, body, query)
            applied, new = self.cluster.apply(address.kind, address.namespace, address.name, body)
            return 201 if new else 200, applied
        before = self.cluster.get(address.kind, address.namespace, address.name)
        return 200, self.cluster.replace(address.kind, address.namespace, address.name, merged(before, body))

    def _delete(self, path: str, query: dict[str, str], _: Manifest) -> tuple[int, Any]:
        address = self._address(path)
        return 200, self.cluster.delete(address.kind, address.namespace, address.name)

    def _address(self, path: str) -> Address:
        api, *rest = path.strip("/").split("/")
        named = 1 if api == "api" else 2
        group_version, rest, namespace = "/".join(rest[:named]), rest[named:], ""
        if len(rest) > 2 and rest[0] == "namespaces":
            namespace, rest = rest[1], rest[2:]
        plural, name, part = (*rest, "", "", "")[:3]
        for kind in self.cluster.kinds:
            if (kind.group_version, kind.plural) == (group_version, plural):
                return Address(kind, namespace, name, part)
        raise Refused(404, "NotFound", "the server could not find the requested resource")

    def _watch(self, address: Address, query: dict[str, str]) -> tuple[int, Any]:
        self._start("application/json", chunked=True)
        cluster, seen = self.cluster, int(query.get("resourceVersion") or 0)
        if query.get("sendInitialEvents") == "true":
            with cluster.changed:  # nothing may happen between the list and what is told after it
                items, seen = cluster.list(address.kind, address.namespace), cluster.version
            for item in items:
                self._event("ADDED", item, query)
            mark = {"resourceVersion": str(seen), "annotations": {"k8s.io/initial-events-end": "true"}}
            marked = {"kind": address.kind.name, "apiVersion": address.kind.group_version, "metadata": mark}
            self._event("BOOKMARK", marked, {})
        while not cluster.closed:
            with cluster.changed:
                new = [event for event in cluster.events if event[0] > seen]
                if not new:
                    cluster.changed.wait(timeout=0.2)
            for version, event, kind, manifest in new:
                seen = version
                if kind == address.kind and address.namespace in ("", manifest["metadata"].get("namespace")):
                    self._event(event, manifest, query)
            cluster.list(address.kind, address.namespace)  # who watches, looks
        self._chunk(b"")
        return 0, None

    def _event(self, event: str, manifest: Manifest, query: dict[str, str]) -> None:
        if selected(manifest, query):
            self._chunk(json.dumps({"type": event, "object": manifest}).encode() + b"\n")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def _send(self, code: int, content: Any) -> None:
        if not code:
            return
        text = isinstance(content, str)
        data = (content if text else json.dumps(content)).encode()
        self._start("text/plain" if text else "application/json", code, length=len(data))
        self.wfile.write(data)

    def _start(self, kind: str, code: int = 200, *, length: int = 0, chunked: bool = False) -> None:
        self.send_response(code)
        self.send_header("content-type", kind)
        self.send_header(*(("transfer-encoding", "chunked") if chunked else ("content-length", str(length))))
        self.end_headers()


def discovery(kinds: tuple[Kind, ...], path: str) -> Manifest | None:
    """What the server says of itself at this path; None where it is about objects."""
    versions = dict.fromkeys(kind.group_version for kind in kinds)
    if path == "/version":
        return VERSION
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        groups = [{"groupVersion": it, "version": it.split("/")[1]} for it in versions if "/" in it]
        return {
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": [
                {"name": it["groupVersion"].split("/")[0], "versions": [it], "preferredVersion": it} for it in groups
            ],
        }
    group_version = path.removeprefix("/apis/").removeprefix("/api/")
    if group_version not in versions:
        return None
    resources = [
        {"name": kind.plural, "singularName": "", "kind": kind.name, "namespaced": kind.namespaced, "verbs": VERBS}
        for kind in kinds
        if kind.group_version == group_version
    ]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources}


def openapi(kinds: tuple[Kind, ...], path: str) -> Manifest | None:
    """As much of the server's description of itself as tells a client that the server checks fields."""
    about = {
        kind.group_version: f"{'apis' if '/' in kind.group_version else 'api'}/{kind.group_version}" for kind in kinds
    }
    if path == "/openapi/v3":
        return {"paths": {place: {"serverRelativeURL": f"/openapi/v3/{place}"} for place in about.values()}}
    paths = {}
    for kind in kinds:
        if path == f"/openapi/v3/{about[kind.group_version]}":
            group, _, version = kind.group_version.rpartition("/")
            patch = {
                "parameters": [{"name": "fieldValidation", "in": "query"}],
                "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": kind.name},
                "responses": {},
            }
            paths[f"/{about[kind.group_version]}/{kind.plural}/{{name}}"] = {"patch": patch}
    return {"openapi": "3.0.0", "info": {"title": "", "version": ""}, "paths": paths} if paths else None


def checked(kind: Kind, manifest: Manifest, query: dict[str, str]) -> Manifest:
    """The manifest, refused if Kubernetes' own schema knows better; an operator's kinds are not checked."""
    if query.get("fieldValidation") == "Strict" and kind in BUILT_IN:
        try:
            kubernetes_validate.validate(manifest, VERSION["gitVersion"][1:5], strict=True)
        except kubernetes_validate.ValidationError as error:
            raise Refused(400, "BadRequest", f"strict decoding error: {error.message}") from None
    return manifest


def selected(manifest: Manifest, query: dict[str, str]) -> bool:
    """Whether an object is among those that a list or a watch asks for; only equality is known."""
    labels = manifest["metadata"].get("labels", {})
    fields = {f"metadata.{key}": manifest["metadata"].get(key) for key in ("name", "namespace")}
    for selector, have in (("labelSelector", labels), ("fieldSelector", fields)):
        for term in filter(None, query.get(selector, "").split(",")):
            key, operator, value = term.partition("!=") if "!=" in term else term.replace("==", "=").partition("=")
            if not operator:
                raise Refused(400, "BadRequest", f"this server knows no selector {term!r}")
            if (have.get(key) == value) is (operator == "!="):
                return False
    return True


def merged(before: Any, patch: Any) -> Any:
    """A JSON merge patch."""
    if not isinstance(patch, dict) or not isinstance(before, dict):
        return patch
    kept = {key: value for key, value in before.items() if key not in patch}
    return kept | {key: merged(before.get(key), value) for key, value in patch.items() if value is not None}
