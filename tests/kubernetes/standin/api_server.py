"""The Kubernetes API, as far as the stand-in uses it: JSON over HTTPS, nothing generated.

Documents stay what Kubernetes sends, dictionaries. Every write that has a body is checked
strictly, so that a field which the real resource definitions do not have is an error here and
never dropped.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import urllib3

from tests.kubernetes.standin.names import OPERATOR

Document = dict[str, Any]

_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_ANSWER_TIMEOUT_S: Final = 30.0
_WATCH_S: Final = 240


class ApiError(Exception):
    """The API server refused a request, or could not be reached (status 0)."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of resource and where the API serves it."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True

    def path(self, namespace: str, name: str = "", subresource: str = "") -> str:
        root = "/api/" if "/" not in self.api_version else "/apis/"
        parts = [root + self.api_version]
        if self.namespaced:
            parts.append(f"namespaces/{namespace}")
        parts += [part for part in (self.plural, name, subresource) if part]
        return "/".join(parts)


POD: Final = Kind("v1", "Pod", "pods")
SECRET: Final = Kind("v1", "Secret", "secrets")
SERVICE: Final = Kind("v1", "Service", "services")
CONFIG_MAP: Final = Kind("v1", "ConfigMap", "configmaps")
SERVICE_ACCOUNT: Final = Kind("v1", "ServiceAccount", "serviceaccounts")
CLAIM: Final = Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
VOLUME: Final = Kind("v1", "PersistentVolume", "persistentvolumes", namespaced=False)
NODE: Final = Kind("v1", "Node", "nodes", namespaced=False)
BUDGET: Final = Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
POD_SET: Final = Kind("core.strimzi.io/v1", "StrimziPodSet", "strimzipodsets")
KAFKA: Final = Kind("kafka.strimzi.io/v1", "Kafka", "kafkas")
NODE_POOL: Final = Kind("kafka.strimzi.io/v1", "KafkaNodePool", "kafkanodepools")
TOPIC: Final = Kind("kafka.strimzi.io/v1", "KafkaTopic", "kafkatopics")
USER: Final = Kind("kafka.strimzi.io/v1", "KafkaUser", "kafkausers")

KINDS: Final = {
    (kind.api_version, kind.kind): kind
    for kind in (POD, SECRET, SERVICE, CONFIG_MAP, SERVICE_ACCOUNT, CLAIM, VOLUME, BUDGET)
    + (POD_SET, KAFKA, NODE_POOL, TOPIC, USER)
}


def kind_of(document: Mapping[str, Any]) -> Kind:
    return KINDS[document["apiVersion"], document["kind"]]


class ApiServer:
    """One API server, seen from one namespace (empty: from all of them), as one account."""

    def __init__(self, url: str, ca_file: Path, token_file: Path, namespace: str) -> None:
        self.namespace = namespace
        self._url = url
        self._token_file = token_file
        self._pool = urllib3.PoolManager(ca_certs=str(ca_file), maxsize=16, retries=False)

    @classmethod
    def in_cluster(cls, namespace: str) -> ApiServer:
        """With the service account that Kubernetes mounts into a pod."""
        host = os.environ["KUBERNETES_SERVICE_HOST"]
        port = os.environ["KUBERNETES_SERVICE_PORT"]
        return cls(f"https://{host}:{port}", _ACCOUNT / "ca.crt", _ACCOUNT / "token", namespace)

    def get(self, kind: Kind, name: str) -> Document | None:
        """The resource, or None where there is none."""
        try:
            return self._send("GET", kind.path(self.namespace, name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def list(self, kind: Kind, selector: Mapping[str, str] | None = None) -> list[Document]:
        query = {"labelSelector": _selector(selector)} if selector else {}
        items: list[Document] = self._send("GET", self._folder(kind), query=query)["items"]
        return items

    def create(self, document: Document) -> Document | None:
        """Make it; None when one of that name is there already."""
        kind = kind_of(document)
        try:
            return self._send(
                "POST",
                kind.path(self._namespace_of(document)),
                query={"fieldValidation": "Strict", "fieldManager": OPERATOR},
                body=document,
            )
        except ApiError as error:
            if error.status == 409:
                return None
            raise

    def apply(self, document: Document) -> Document:
        """Server-side apply: made when it is not there, changed where it differs."""
        return self._apply(document, "")

    def apply_status(self, document: Document) -> Document:
        return self._apply(document, "status")

    def merge(self, kind: Kind, name: str, change: Document, namespace: str = "") -> Document:
        """A JSON merge patch: None removes a field."""
        return self._send(
            "PATCH",
            kind.path(namespace or self.namespace, name),
            query={"fieldManager": OPERATOR},
            body=change,
            content_type="application/merge-patch+json",
        )

    def delete(self, kind: Kind, name: str, *, uid: str = "", namespace: str = "") -> None:
        """Delete it with its own grace period; with `uid` only while it is still that one."""
        body: Document = {"preconditions": {"uid": uid}} if uid else {}
        try:
            self._send("DELETE", kind.path(namespace or self.namespace, name), body=body)
        except ApiError as error:
            if error.status not in (404, 409):
                raise

    def watch(self, kind: Kind, selector: Mapping[str, str] | None = None) -> Iterator[Document]:
        """Events: first one for each resource that is there, then as they come; ends by itself."""
        query = {"watch": "true", "timeoutSeconds": str(_WATCH_S)}
        if selector:
            query["labelSelector"] = _selector(selector)
        response = self._open("GET", self._folder(kind), query, None, "", _WATCH_S + 30)
        try:
            buffered = b""
            for chunk in response.stream(65536):
                *lines, buffered = (buffered + chunk).split(b"\n")
                for line in lines:
                    yield json.loads(line)
        except urllib3.exceptions.HTTPError as error:
            raise ApiError(0, f"watch of {kind.plural}: {type(error).__name__}") from error
        finally:
            response.release_conn()
            response.close()

    def _folder(self, kind: Kind) -> str:
        if kind.namespaced and not self.namespace:
            return Kind(kind.api_version, kind.kind, kind.plural, namespaced=False).path("")
        return kind.path(self.namespace)

    def _namespace_of(self, document: Document) -> str:
        return str(document["metadata"].get("namespace") or self.namespace)

    def _apply(self, document: Document, subresource: str) -> Document:
        kind = kind_of(document)
        name = document["metadata"]["name"]
        return self._send(
            "PATCH",
            kind.path(self._namespace_of(document), name, subresource),
            query={"fieldManager": OPERATOR, "force": "true", "fieldValidation": "Strict"},
            body=document,
            content_type="application/apply-patch+yaml",
        )

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Document | None = None,
        content_type: str = "application/json",
    ) -> Document:
        response = self._open(method, path, query or {}, body, content_type, _ANSWER_TIMEOUT_S)
        try:
            answer: Document = json.loads(response.read())
        except urllib3.exceptions.HTTPError as error:
            raise ApiError(0, f"{method} {path}: {type(error).__name__}") from error
        response.release_conn()
        return answer

    def _open(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Document | None,
        content_type: str,
        timeout_s: float,
    ) -> urllib3.BaseHTTPResponse:
        # A mounted token is renewed on the disk while the process runs.
        headers = {"Authorization": f"Bearer {self._token_file.read_text().strip()}"}
        if body is not None:
            headers["Content-Type"] = content_type
        try:
            response = self._pool.request(
                method,
                f"{self._url}{path}?{urlencode(query)}",
                body=None if body is None else json.dumps(body).encode(),
                headers=headers,
                timeout=timeout_s,
                preload_content=False,
            )
        except urllib3.exceptions.HTTPError as error:
            raise ApiError(0, f"{method} {path}: {type(error).__name__}") from error
        if response.status >= 300:
            text = response.read().decode(errors="replace")
            response.release_conn()
            raise ApiError(response.status, f"{method} {path}: {_reason(text)}")
        return response


def _selector(labels: Mapping[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in labels.items())


def _reason(text: str) -> str:
    """What the API server says, without the rest of its Status document."""
    try:
        return str(json.loads(text)["message"])[:600]
    except (ValueError, KeyError, TypeError):
        return text[:200]
