"""Questions to the Kubernetes API, and what their failures mean in plain words.

The client is found as kubectl and Chaos Toolkit's Kubernetes extension find theirs: KUBECONFIG or
~/.kube/config, with the context that the address or KUBERNETES_CONTEXT names; in a pod its service
account; else the KUBERNETES_* variables of that extension. Nothing of an answer is kept or printed
here: it may hold secrets.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

from harness.brokers.strimzi.objects import CONTAINER, GROUP, VERSION, Document
from harness.errors import ClusterError, HarnessError, UsageError, scrub

INSTALL: Final = "pip install 'delivery-harness[k8s]'"
TIMEOUT_S: Final = (5.0, 30.0)
"""To connect, and to be answered."""
_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
Result = TypeVar("Result")


def kubernetes_package() -> Any:
    """The `kubernetes` package. Raises UsageError where it is not installed."""
    try:
        import kubernetes
        import kubernetes.stream
    except ImportError:
        raise UsageError(
            f"strimzi:// addresses need the packages kubernetes and chaostoolkit-kubernetes: "
            f"{INSTALL}."
        ) from None
    return kubernetes


def kubeconfig_path() -> str | None:
    """KUBECONFIG, or ~/.kube/config where it exists; None without either."""
    named = os.environ.get("KUBECONFIG")
    if named:
        return str(Path(named).expanduser())
    try:
        usual = Path.home() / ".kube" / "config"
    except RuntimeError:
        return None  # a container whose user has no home
    return str(usual) if usual.exists() else None


def in_pod() -> bool:
    """Whether this process runs in a pod of a Kubernetes cluster, with a service account."""
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST")) and _ACCOUNT.exists()


class Kubernetes:
    """One API server, asked with one identity."""

    def __init__(self, configuration: Any, identity: str, context: str | None = None) -> None:
        """configuration: a kubernetes.client.Configuration. identity: where it was found."""
        package = kubernetes_package()
        configuration.retries = 1
        self._client = package.client
        self._configuration = configuration
        self.context = context
        self.identity = identity
        self.host = str(configuration.host)
        self.api = package.client.ApiClient(configuration)
        self.core = package.client.CoreV1Api(self.api)
        self._custom = package.client.CustomObjectsApi(self.api)

    @classmethod
    def connect(cls, context: str | None = None) -> Kubernetes:
        """The API server that kubectl would ask; it is not asked yet.

        Raises ClusterError when no access to a Kubernetes is configured, UsageError for a context
        that there is not.
        """
        package = kubernetes_package()
        context = context or os.environ.get("KUBERNETES_CONTEXT") or None
        path = kubeconfig_path()
        if path is not None and os.pathsep in path:
            raise UsageError(
                f"KUBECONFIG {path}: several files, and Chaos Toolkit's extension, which deletes "
                "pods, reads one. Merge them: kubectl config view --flatten > FILE."
            )
        if path is not None:
            return cls(_from_file(package, path, context), _identity(path, context), context)
        if context is not None:
            raise UsageError(
                f"context {context}: there is no kubeconfig to look for it in: KUBECONFIG is not "
                "set and ~/.kube/config does not exist."
            )
        configuration = package.client.Configuration()
        if in_pod():
            package.config.load_incluster_config(client_configuration=configuration)
            return cls(configuration, "the service account of this pod")
        if os.environ.get("KUBERNETES_HOST"):
            from chaosk8s import create_k8s_api_client

            return cls(create_k8s_api_client().configuration, "the KUBERNETES_* variables")
        raise ClusterError(
            "no access to a Kubernetes is configured: KUBECONFIG is not set, ~/.kube/config does "
            "not exist, and this process runs in no pod with a service account. Set KUBECONFIG to "
            "the file that kubectl uses."
        )

    # -- questions ---------------------------------------------------------------------------

    def custom(self, plural: str, namespace: str, name: str) -> Document | None:
        """A resource of kafka.strimzi.io/v1; None when there is none of that name."""
        return self.ask(
            lambda: self._custom.get_namespaced_custom_object(
                GROUP, VERSION, namespace, plural, name, _request_timeout=TIMEOUT_S
            ),
            f"get {plural}.{GROUP} in namespace {namespace}",
        )

    def customs(self, plural: str, namespace: str | None, **more: Any) -> list[Document]:
        """All resources of a kind of kafka.strimzi.io/v1 in a namespace; without one, in all."""
        if namespace is None:
            found = self.ask(
                lambda: self._custom.list_cluster_custom_object(
                    GROUP, VERSION, plural, _request_timeout=TIMEOUT_S, **more
                ),
                f"list {plural}.{GROUP} in all namespaces",
            )
        else:
            found = self.ask(
                lambda: self._custom.list_namespaced_custom_object(
                    GROUP, VERSION, namespace, plural, _request_timeout=TIMEOUT_S, **more
                ),
                f"list {plural}.{GROUP} in namespace {namespace}",
            )
        return list((found or {}).get("items", []))

    def object(
        self, group: str, version: str, plural: str, namespace: str, name: str
    ) -> Document | None:
        """A resource of any group in a namespace; None when there is none of that name."""
        return self.ask(
            lambda: self._custom.get_namespaced_custom_object(
                group, version, namespace, plural, name, _request_timeout=TIMEOUT_S
            ),
            f"get {plural}.{group} in namespace {namespace}",
        )

    def objects(
        self, group: str, version: str, plural: str, namespace: str, **more: Any
    ) -> list[Document]:
        """All resources of a kind of any group in a namespace."""
        found = self.ask(
            lambda: self._custom.list_namespaced_custom_object(
                group, version, namespace, plural, _request_timeout=TIMEOUT_S, **more
            ),
            f"list {plural}.{group} in namespace {namespace}",
        )
        return list((found or {}).get("items", []))

    def patch(
        self,
        group: str,
        version: str,
        plural: str,
        namespace: str,
        name: str,
        change: Mapping[str, Any],
        *,
        dry_run: bool = False,
    ) -> None:
        """A merge patch (RFC 7386). Raises ClusterError when there is nothing of that name.

        dry_run: only find out whether it would be accepted.
        """
        more = {"dry_run": "All"} if dry_run else {}
        answer = self.ask(
            lambda: self._custom.patch_namespaced_custom_object(
                group, version, namespace, plural, name, dict(change), _request_timeout=TIMEOUT_S,
                _content_type="application/merge-patch+json", **more,
            ),
            f"patch {plural}.{group} in namespace {namespace}",
        )  # fmt: skip
        if answer is None:
            raise ClusterError(f"{plural}.{group} {name}: there is none in namespace {namespace}.")

    def node(self, name: str) -> Document | None:
        """A node of Kubernetes; None when there is none of that name."""
        return self._json(
            lambda: self.core.read_node(name, _preload_content=False, _request_timeout=TIMEOUT_S),
            "get nodes",
        )

    def secret(self, namespace: str, name: str) -> Document | None:
        """A secret with its values; None when there is none of that name."""
        return self._json(
            lambda: self.core.read_namespaced_secret(
                name, namespace, _preload_content=False, _request_timeout=TIMEOUT_S
            ),
            f"get secrets in namespace {namespace}",
        )

    def pods_at(self, namespace: str, selector: str) -> tuple[list[Document], str]:
        """(the pods that a selector of labels matches, the version of that list)."""
        found = (
            self._json(
                lambda: self.core.list_namespaced_pod(
                    namespace,
                    label_selector=selector,
                    _preload_content=False,
                    _request_timeout=TIMEOUT_S,
                ),
                f"list pods in namespace {namespace}",
            )
            or {}
        )
        version = str(found.get("metadata", {}).get("resourceVersion", ""))
        return list(found.get("items", [])), version

    def log(self, namespace: str, pod: str, *, previous: bool, bytes_max: int) -> bytes:
        """What a broker's container printed, or the one before it in the same pod.

        The end of it, `bytes_max` at most; empty where there is no such container.
        """
        try:
            answer = self.ask(
                lambda: self.core.read_namespaced_pod_log(
                    pod,
                    namespace,
                    container=CONTAINER,
                    previous=previous,
                    limit_bytes=bytes_max,
                    _preload_content=False,
                    _request_timeout=TIMEOUT_S,
                ),
                f"get pods/log in namespace {namespace}",
            )
        except ClusterError as error:
            if previous:
                return b""  # the container has not started again
            return f"{error}\n".encode()
        return b"" if answer is None else bytes(answer.data)

    def versions(self, group: str) -> list[str]:
        """The versions in which an API group is served; none where it is not."""
        found = self._json(
            lambda: self._client.ApisApi(self.api).get_api_versions(
                _preload_content=False, _request_timeout=TIMEOUT_S
            ),
            "list the API groups",
        )
        for each in (found or {}).get("groups", []):
            if each.get("name") == group:
                return [str(version["version"]) for version in each.get("versions", [])]
        return []

    def may(self, verb: str, resource: str, namespace: str, group: str = "") -> bool:
        """Whether this identity may do something: `resource` is as in pods or pods/exec."""
        kind, _, part = resource.partition("/")
        attributes = {"verb": verb, "group": group, "resource": kind, "namespace": namespace}
        if part:
            attributes["subresource"] = part
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        answer = self._json(
            lambda: self._client.AuthorizationV1Api(self.api).create_self_subject_access_review(
                review, _preload_content=False, _request_timeout=TIMEOUT_S
            ),
            "create selfsubjectaccessreviews",
        )
        return bool((answer or {}).get("status", {}).get("allowed"))

    def create(
        self, group: str, version: str, plural: str, namespace: str, body: Document
    ) -> Document:
        """What the API server makes of a new resource of any group."""
        answer = self.ask(
            lambda: self._custom.create_namespaced_custom_object(
                group, version, namespace, plural, dict(body), _request_timeout=TIMEOUT_S
            ),
            f"create {plural}.{group} in namespace {namespace}",
        )
        return answer or {}

    def fresh_core(self) -> Any:
        """A CoreV1Api of its own: an exec turns its client into one for web sockets."""
        return self._client.CoreV1Api(self._client.ApiClient(self._configuration))

    def ask(self, question: Callable[[], Result], right: str) -> Result | None:
        """The answer; None where there is nothing of that name.

        right: the verb and the resource that the question takes. Raises ClusterError that says
        what the failure means.
        """
        try:
            return question()
        except HarnessError:
            raise
        except Exception as error:
            if getattr(error, "status", None) == 404:
                return None
            self.explain(error, right)

    def _json(self, question: Callable[[], Any], right: str) -> dict[str, Any] | None:
        answer = self.ask(question, right)
        return None if answer is None else dict(json.loads(answer.data))

    def explain(self, error: Exception, right: str) -> NoReturn:
        """Raises ClusterError for a failed question, or the error where it is not one of those."""
        import urllib3.exceptions

        where = f"Kubernetes at {self.host} ({self.identity})"
        status = getattr(error, "status", None)
        if status == 401:
            raise ClusterError(
                f"{where} refuses the credentials (401 Unauthorized): the token has expired, or is "
                "no token of this cluster. Log in again, or issue a new token, and repeat."
            ) from None
        if status == 403:
            raise ClusterError(
                f"{where} forbids this identity to {right} (403 Forbidden: {_said(error)}). Bind "
                "it to a Role with that verb on that resource; docs/kubernetes.md has them all."
            ) from None
        if status is not None:
            raise ClusterError(
                f"{where}: {right}: it answered {status} ({_said(error)})."
            ) from None
        if isinstance(error, urllib3.exceptions.HTTPError | OSError):
            raise ClusterError(
                f"{where} cannot be reached: {_reason(error)}. `kubectl version` asks the same "
                "server."
            ) from None
        raise error


def _from_file(package: Any, path: str, context: str | None) -> Any:
    """The access that a kubeconfig gives."""
    config = package.config
    configuration = package.client.Configuration()
    try:
        contexts, _ = config.list_kube_config_contexts(config_file=path)
    except (config.ConfigException, OSError, ValueError) as error:
        raise ClusterError(f"kubeconfig {path}: cannot be read ({scrub(str(error))}).") from None
    except Exception as error:  # a YAML error of whichever library reads it
        raise ClusterError(f"kubeconfig {path}: no YAML ({type(error).__name__}).") from None
    names = sorted(str(each.get("name")) for each in contexts or [])
    if context is not None and context not in names:
        raise UsageError(
            f"context {context}: kubeconfig {path} has no such context. There are: "
            f"{', '.join(names) or 'none'}."
        )
    try:
        config.load_kube_config(
            config_file=path,
            context=context,
            client_configuration=configuration,
            persist_config=False,
        )
    except (config.ConfigException, OSError, ValueError, KeyError, TypeError) as error:
        raise ClusterError(
            f"kubeconfig {path}: cannot be used ({scrub(str(error))}). `kubectl config view` shows "
            "what it holds."
        ) from None
    return configuration


def _identity(path: str, context: str | None) -> str:
    return f"kubeconfig {path}" + (f", context {context}" if context else "")


def _said(error: Exception) -> str:
    """The message of an answer of the API server; it never repeats a secret's value."""
    try:
        return scrub(str(json.loads(getattr(error, "body", "") or "{}").get("message", "")))
    except (ValueError, AttributeError, TypeError):
        return str(getattr(error, "reason", ""))


def _reason(error: BaseException) -> str:
    """The innermost reason of a connection that did not come about."""
    inner = error
    while isinstance(cause := getattr(inner, "reason", None), BaseException):
        inner = cause
    text = str(inner)
    if "CERTIFICATE_VERIFY_FAILED" in text or "certificate verify failed" in text:
        return "its certificate is not signed by the authority that the kubeconfig names"
    # urllib3 puts the connection object in front.
    return scrub(text.rpartition(">: ")[2] or text)
