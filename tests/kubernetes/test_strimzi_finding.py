"""A Strimzi cluster found by its address on a real API server, where no pod runs.

Names, rights and resources count. What is wrong is named before anything is touched.
"""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.brokers.kinds import connect
from harness.brokers.strimzi.cluster import StrimziBrokers
from harness.cli.main import main
from harness.errors import ClusterError, UsageError
from tests.kubernetes.lab.access import Access, write_kubeconfig
from tests.kubernetes.lab.control_plane import ControlPlane
from tests.kubernetes.lab.pki import Authority

pytestmark = pytest.mark.kubernetes

PASSWORD = "a-password-nobody-may-see"
READY = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}


OUTSIDE = {"name": "outside", "port": 9095, "type": "nodeport", "tls": True,
           "authentication": {"type": "scram-sha-512"}}  # fmt: skip


def kafka(name: str, *more: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "kafka.strimzi.io/v1",
        "kind": "Kafka",
        "metadata": {"name": name},
        "spec": {
            "kafka": {
                "version": "4.3.1",
                "listeners": [
                    {"name": "tls", "port": 9093, "type": "internal", "tls": True,
                     "authentication": {"type": "scram-sha-512"}},
                    {"name": "mutual", "port": 9094, "type": "internal", "tls": True,
                     "authentication": {"type": "tls"}},
                    *more,
                ],
            }
        },
    }  # fmt: skip


def user(name: str, login: str) -> dict[str, Any]:
    return {
        "apiVersion": "kafka.strimzi.io/v1",
        "kind": "KafkaUser",
        "metadata": {"name": name, "labels": {"strimzi.io/cluster": "c"}},
        "spec": {"authentication": {"type": login}},
    }


def secret(name: str, **values: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "data": {
            key.replace("_", "."): base64.b64encode(value.encode()).decode()
            for key, value in values.items()
        },
    }


def in_namespace(namespace: str, document: dict[str, Any]) -> dict[str, Any]:
    document["metadata"]["namespace"] = namespace
    return document


def set_status(access: Access, namespace: str, name: str, status: dict[str, Any]) -> None:
    access.kubectl(
        "-n", namespace, "patch", f"kafka.kafka.strimzi.io/{name}", "--subresource=status",
        "--type=merge", "-p", json.dumps({"status": status}),
    )  # fmt: skip


ADDRESSES = [
    {"name": "tls", "bootstrapServers": "127.0.0.1:1"},
    {"name": "mutual", "bootstrapServers": "127.0.0.1:2"},
]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Signs what the cluster's and the users' secrets hold."""
    return Authority.make(tmp_path_factory.mktemp("authority") / "ca", "cluster-ca")


@pytest.fixture
def namespace(
    control_plane: ControlPlane, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> str:
    """A namespace with a Kafka resource, two users and their secrets; KUBECONFIG is the admin's."""
    name = control_plane.new_namespace("strimzi")
    admin = control_plane.admin
    pair = authority.issue("mutual", "/CN=mutual")
    for document in (
        kafka("c"),
        user("load", "scram-sha-512"),
        user("mutual", "tls"),
        secret("load", password=PASSWORD),
        secret("mutual", user_crt=pair.certificate.read_text(), user_key=pair.key.read_text()),
        secret("c-cluster-ca-cert", ca_crt=authority.certificate.read_text()),
    ):
        admin.apply(in_namespace(name, document))
    set_status(admin, name, "c", {"conditions": [READY], "listeners": ADDRESSES,
                                  "clusterId": "abc", "kafkaVersion": "4.3.1"})  # fmt: skip
    monkeypatch.setenv("KUBECONFIG", str(admin.kubeconfig))
    return name


def find(spec: str) -> StrimziBrokers:
    found = connect(spec)
    assert isinstance(found, StrimziBrokers)
    return found


def test_address_login_and_authority_come_from_the_resources(
    namespace: str, authority: Authority
) -> None:
    found = find(f"strimzi://{namespace}/c?user=load")
    assert found.client_config == {
        "bootstrap.servers": "127.0.0.1:1",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "load",
        "sasl.password": PASSWORD,
        "ssl.ca.pem": authority.certificate.read_text(),
    }
    assert (found.cluster_id, found.kafka_version, found.kind) == ("abc", "4.3.1", "strimzi")
    assert PASSWORD not in repr(found)
    assert PASSWORD not in json.dumps(found.environment)
    mutual = find(f"strimzi://{namespace}/c?user=mutual").client_config
    assert mutual["security.protocol"] == "SSL"
    assert "BEGIN CERTIFICATE" in mutual["ssl.certificate.pem"]
    assert (mutual["bootstrap.servers"], "ssl.key.pem" in mutual) == ("127.0.0.1:2", True)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("strimzi://nowhere-at-all/c", "no such namespace. There are: {namespace}/c"),
        ("strimzi://{namespace}/d", "has no Kafka resource d. There are: c"),
        ("strimzi://{namespace}/c?user=laod", "no KafkaUser laod in namespace {namespace}"),
        ("strimzi://{namespace}/c?user=laod", "are: load, mutual"),
        ("strimzi://{namespace}/c", "no user is named"),
        ("strimzi://{namespace}/c?user=load&listener=mutual", "does not fit"),
        ("strimzi://{namespace}/c?context=elsewhere", "There are: lab"),
    ],
)
def test_a_wrong_name_is_wrong_usage_and_lists_what_there_is(
    namespace: str, spec: str, said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    address = spec.format(namespace=namespace)
    with pytest.raises(UsageError) as refused:
        find(address)
    assert said.format(namespace=namespace) in str(refused.value)
    out = tmp_path / "run"
    arguments = ["run", "--brokers", address, "--experiment", "no_fault", "--out", str(out)]
    assert main(arguments) == 2
    assert "harness: " in capsys.readouterr().err
    assert not out.exists()


def test_an_expired_token_is_named_as_that(
    namespace: str, control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = write_kubeconfig(
        tmp_path / "expired", server=control_plane.url, authority=control_plane.ca_file,
        user="eyJhbGciOiJub25lIn0.e30.x",
    )  # fmt: skip
    monkeypatch.setenv("KUBECONFIG", str(path))
    with pytest.raises(ClusterError) as failed:
        find(f"strimzi://{namespace}/c?user=load")
    assert "401 Unauthorized" in str(failed.value)
    assert "eyJhbGci" not in str(failed.value)


def test_a_missing_right_is_named_with_its_verb_and_resource(
    namespace: str, control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = control_plane.as_account(namespace, "default")
    monkeypatch.setenv("KUBECONFIG", str(account.kubeconfig))
    rules: list[dict[str, Any]] = []
    for rule, said in (
        (None, "get kafkas.kafka.strimzi.io"),
        ({"apiGroups": ["kafka.strimzi.io"], "resources": ["kafkas"], "verbs": ["get"]},
         "get kafkausers.kafka.strimzi.io"),
        ({"apiGroups": ["kafka.strimzi.io"], "resources": ["kafkausers"], "verbs": ["get"]},
         "get secrets in namespace"),
        ({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}, ""),
    ):  # fmt: skip
        if rule is not None:
            rules.append(rule)
            allow(control_plane, namespace, rules)
        if not said:
            assert find(f"strimzi://{namespace}/c?user=load").kind == "strimzi"
            continue
        with pytest.raises(ClusterError) as failed:
            find(f"strimzi://{namespace}/c?user=load")
        assert f"forbids this identity to {said}" in str(failed.value)
        assert "403 Forbidden" in str(failed.value)


def allow(plane: ControlPlane, namespace: str, rules: list[dict[str, Any]]) -> None:
    """Give the namespace's default service account these rights; waits until they hold."""
    group = "rbac.authorization.k8s.io"
    plane.admin.apply(
        {"apiVersion": f"{group}/v1", "kind": "Role",
         "metadata": {"name": "some", "namespace": namespace}, "rules": rules},
        {"apiVersion": f"{group}/v1", "kind": "RoleBinding",
         "metadata": {"name": "some", "namespace": namespace},
         "roleRef": {"apiGroup": group, "kind": "Role", "name": "some"},
         "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": namespace}]},
    )  # fmt: skip
    last = rules[-1]
    kind = ".".join(filter(None, (last["resources"][0], last["apiGroups"][0])))
    who = f"--as=system:serviceaccount:{namespace}:default"
    for _ in range(100):
        asked = plane.admin.kubectl(
            "auth", "can-i", last["verbs"][0], kind, "-n", namespace, who, check=False
        )
        if asked.stdout.strip() == "yes":
            return
    raise AssertionError(f"{last} does not hold")


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({"conditions": [{**READY, "type": "NotReady", "reason": "InvalidResource",
                          "message": "no node pool"}], "listeners": None},
         "InvalidResource: no node pool"),
        ({"conditions": None, "listeners": None}, "the operator has not said that it is ready"),
    ],
)  # fmt: skip
def test_a_cluster_that_is_not_ready_is_named_with_the_operators_reason(
    namespace: str, control_plane: ControlPlane, status: dict[str, Any], said: str
) -> None:
    set_status(control_plane.admin, namespace, "c", status)
    with pytest.raises(ClusterError) as failed:
        find(f"strimzi://{namespace}/c?user=load")
    assert said in str(failed.value)


def test_a_secret_that_is_not_there_is_named(namespace: str, control_plane: ControlPlane) -> None:
    control_plane.admin.kubectl("-n", namespace, "delete", "secret", "load")
    with pytest.raises(ClusterError, match="secret load is not there"):
        find(f"strimzi://{namespace}/c?user=load")
    control_plane.admin.kubectl("-n", namespace, "delete", "secret", "c-cluster-ca-cert")
    with pytest.raises(ClusterError, match="secret c-cluster-ca-cert: it is not there"):
        find(f"strimzi://{namespace}/c?user=mutual")


def test_brokers_that_do_not_answer_end_a_run_with_exit_4(
    namespace: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    address = f"strimzi://{namespace}/c?user=load"
    arguments = ["run", "--brokers", address, "--experiment", "no_fault", "--out", str(out)]
    assert main(arguments) == 4
    said = capsys.readouterr().err
    assert "127.0.0.1:1" in said
    assert PASSWORD not in said


@pytest.mark.parametrize("answers", [False, True], ids=["closed", "silent"])
def test_a_node_port_that_is_not_reachable_is_named_as_that(
    answers: bool, namespace: str, control_plane: ControlPlane,
    capsys: pytest.CaptureFixture[str], tmp_path: Path,
) -> None:  # fmt: skip
    """No program listens on a closed port; on a silent one none takes a connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if not answers:
            server.close()
        control_plane.admin.apply(in_namespace(namespace, kafka("c", OUTSIDE)))
        outside = {"name": "outside", "bootstrapServers": f"127.0.0.1:{port}"}
        set_status(control_plane.admin, namespace, "c", {"listeners": [*ADDRESSES, outside]})
        out = tmp_path / "run"
        address = f"strimzi://{namespace}/c?user=load"
        assert find(address).listener.type == "nodeport"
        arguments = ["run", "--brokers", address, "--experiment", "no_fault", "--out", str(out)]
        assert main(arguments) == 4
    said = capsys.readouterr().err
    assert f"The status of Kafka {namespace}/c gives 127.0.0.1:{port} for its listener" in said
    assert "outside (nodeport, TLS on, login scram-sha-512)" in said
    assert "the node's network and its ports have to be open" in said
    assert PASSWORD not in said
    assert not (out / "ledger").exists()


def test_nothing_is_left_in_the_cache_by_a_look(namespace: str) -> None:
    place = find(f"strimzi://{namespace}/c?user=load").meeting_place
    assert place is not None
    assert not place.exists()


def test_an_authority_that_is_none_is_named(namespace: str, control_plane: ControlPlane) -> None:
    broken = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    control_plane.admin.apply(in_namespace(namespace, secret("c-cluster-ca-cert", ca_crt=broken)))
    with pytest.raises(ClusterError, match=r"ssl\.ca\.pem: .*c-cluster-ca-cert"):
        find(f"strimzi://{namespace}/c?user=load")


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (lambda env, _: env.setenv("KUBECONFIG", "/nowhere/config"), ClusterError,
         "kubeconfig /nowhere/config: cannot be read"),
        (lambda env, path: _away(env, path), ClusterError,
         "no access to a Kubernetes is configured"),
        (lambda env, path: _closed(env, path), ClusterError, "cannot be reached"),
    ],
    ids=["no file", "nothing", "nobody listens"],
)  # fmt: skip
def test_no_way_to_an_api_server_is_named(
    namespace: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    change: Callable[[pytest.MonkeyPatch, Path], None], error: type[Exception], said: str,
) -> None:  # fmt: skip
    change(monkeypatch, tmp_path)
    with pytest.raises(error) as failed:
        find(f"strimzi://{namespace}/c?user=load")
    assert said in str(failed.value)


def _away(env: pytest.MonkeyPatch, folder: Path) -> None:
    env.delenv("KUBECONFIG")
    env.setenv("HOME", str(folder))


def _closed(env: pytest.MonkeyPatch, folder: Path) -> None:
    path = folder / "closed"
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "x", "cluster": {"server": "https://127.0.0.1:1"}}],
                "users": [{"name": "x", "user": {"token": "t"}}],
                "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
                "current-context": "x",
            }
        )
    )
    env.setenv("KUBECONFIG", str(path))
