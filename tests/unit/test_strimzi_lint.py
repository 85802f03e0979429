"""Guardrails for Strimzi's resources: what each rule finds, over all files that are given."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.profiles.strimzi import STRIMZI_RULES
from harness.profiles.validate import validate, validate_all

GOOD_KAFKA = """\
apiVersion: kafka.strimzi.io/v1
kind: Kafka
metadata: {name: c}
spec:
  kafka:
    authorization: {type: simple}
    listeners:
      - {name: tls, port: 9093, type: internal, tls: true, authentication: {type: scram-sha-512}}
    config:
      default.replication.factor: 3
      min.insync.replicas: 2
      offsets.topic.replication.factor: 3
      transaction.state.log.replication.factor: 3
      transaction.state.log.min.isr: 2
"""
POOL = """\
apiVersion: kafka.strimzi.io/v1
kind: KafkaNodePool
metadata: {name: NAME, labels: {strimzi.io/cluster: c}}
spec: {replicas: COUNT, roles: [ROLE], storage: {type: persistent-claim, size: 1Gi}}
"""
TOPIC = """\
apiVersion: kafka.strimzi.io/v1
kind: KafkaTopic
metadata: {name: t, labels: {strimzi.io/cluster: c}}
spec: {partitions: 3, replicas: 3, config: {min.insync.replicas: 2, retention.ms: 1000}}
"""
USER = """\
apiVersion: kafka.strimzi.io/v1
kind: KafkaUser
metadata: {name: u, labels: {strimzi.io/cluster: c}}
spec:
  authentication: {type: scram-sha-512}
  quotas: {producerByteRate: 1000}
  authorization:
    type: simple
    acls:
      - {resource: {type: topic, name: harness-, patternType: prefix}, operations: [Write]}
"""


def pool(name: str, role: str, count: int) -> str:
    return POOL.replace("NAME", name).replace("COUNT", str(count)).replace("ROLE", role)


BROKERS, CONTROLLERS = pool("b", "broker", 3), pool("k", "controller", 3)
GOOD = {"kafka": GOOD_KAFKA, "pools": BROKERS + "---\n" + CONTROLLERS, "topic": TOPIC, "user": USER}


def findings(tmp_path: Path, **files: str) -> list[tuple[str, str, str]]:
    """(rule, severity, where) of every finding in files that are looked at together."""
    paths = []
    for name, text in files.items():
        paths.append(tmp_path / f"{name}.yaml")
        paths[-1].write_text(text, encoding="utf-8")
    reports = validate_all(paths)
    assert [report.error for report in reports] == [None] * len(reports)
    return [
        (each.rule, each.severity, each.where.replace(f"{tmp_path}/", ""))
        for report in reports
        for each in report.findings
    ]


def test_resources_as_they_should_be_have_no_finding(tmp_path: Path) -> None:
    assert findings(tmp_path, **GOOD) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "rule", "severity", "where"),
    [
        ("kafka", "strimzi.io/v1\n", "strimzi.io/v1beta2\n", "strimzi-old-api", "warning",
         "kafka.yaml:1: Kafka c.apiVersion"),
        ("topic", ", labels: {strimzi.io/cluster: c}", "", "strimzi-no-cluster", "error",
         "topic.yaml:3: KafkaTopic t.metadata.labels"),
        ("kafka", "offsets.topic.replication.factor: 3", "offsets.topic.replication.factor: 1",
         "kafka-internal-topics", "error", "kafka.yaml:12: Kafka c.spec.kafka.config."),
        ("kafka", "offsets.topic.replication.factor: 3", "offsets.topic.replication.factor: 2",
         "kafka-internal-topics", "warning", "kafka.yaml:12: "),
        ("kafka", "log.min.isr: 2", "log.min.isr: 1", "kafka-internal-topics", "error",
         "kafka.yaml:14: "),
        ("kafka", "log.min.isr: 2", "log.min.isr: 3", "kafka-internal-topics", "error",
         "kafka.yaml:14: "),
        ("kafka", "      default.replication.factor: 3\n", "", "kafka-default-copies", "warning",
         "kafka.yaml:9: "),
        ("kafka", "min.insync.replicas: 2", "min.insync.replicas: 1", "kafka-default-copies",
         "error", "kafka.yaml:11: "),
        ("kafka", "min.insync.replicas: 2", "min.insync.replicas: 3", "kafka-default-copies",
         "error", "kafka.yaml:11: "),
        ("kafka", "min.isr: 2\n", "min.isr: 2\n      unclean.leader.election.enable: true\n",
         "kafka-unclean-election", "error", "kafka.yaml:15: "),
        ("kafka", "type: internal", "type: nodeport", "", "", ""),
        ("kafka", "type: internal, tls: true", "type: nodeport, tls: false", "kafka-open-listener",
         "error", "kafka.yaml:8: Kafka c.spec.kafka.listeners[0]"),
        ("kafka", ", authentication: {type: scram-sha-512}", "", "kafka-open-listener", "warning",
         "kafka.yaml:8: "),
        ("kafka", "tls: true, authentication: {type: scram-sha-512}",
         "tls: false, networkPolicyPeers: [{podSelector: {}}]", "", "", ""),
        ("kafka", "    authorization: {type: simple}\n", "", "kafka-no-authorization", "warning",
         "kafka.yaml:5: "),
        ("pools", "replicas: 3, roles: [broker]", "replicas: 4, roles: [broker]", "", "", ""),
        ("pools", "[broker], storage: {type: persistent-claim",
         "[broker], storage: {type: ephemeral", "pool-ephemeral-storage", "error",
         "pools.yaml:4: KafkaNodePool b.spec.storage.type"),
        ("pools", "replicas: 3, roles: [controller]", "replicas: 3, roles: [broker, controller]",
         "pool-both-roles", "warning", "pools.yaml:9: KafkaNodePool k.spec.roles"),
        ("pools", "replicas: 3, roles: [controller]", "replicas: 2, roles: [controller]",
         "pool-few-nodes", "warning", "pools.yaml:9: KafkaNodePool k.spec.replicas"),
        ("pools", "replicas: 3, roles: [controller]", "replicas: 4, roles: [controller]",
         "pool-few-nodes", "warning", "pools.yaml:9: "),
        ("topic", "replicas: 3, ", "", "topic-copies", "warning", "topic.yaml:4: "),
        ("topic", "replicas: 3, ", "replicas: 4, ", "topic-copies", "error", "topic.yaml:4: "),
        ("topic", ", retention.ms: 1000", "", "no-retention", "warning", "topic.yaml:4: "),
        ("topic", "min.insync.replicas: 2", "min.insync.replicas: 1", "min-isr-1", "error",
         "topic.yaml:4: "),
        ("user", "name: harness-, patternType: prefix", "name: '*'", "user-wide-acl", "warning",
         "user.yaml:10: KafkaUser u.spec.authorization.acls[0].resource.name"),
        ("user", "[Write]", "[All]", "user-wide-acl", "warning", "user.yaml:10: "),
        ("user", "{resource: {type: topic, name: harness-, patternType: prefix}, operations: "
         "[Write]}", "{resource: {type: cluster}, operations: [All]}", "user-wide-acl", "error",
         "user.yaml:10: "),
        ("user", "operations: [Write]", "type: deny, operations: [All]", "", "", ""),
        ("user", "  authentication: {type: scram-sha-512}\n", "", "user-no-login", "warning",
         "user.yaml:4: "),
        ("user", "  quotas: {producerByteRate: 1000}\n", "", "user-no-quotas", "warning",
         "user.yaml:4: "),
    ],
)  # fmt: skip
def test_each_rule_finds_its_flaw_where_it_is(
    tmp_path: Path, file: str, old: str, new: str, rule: str, severity: str, where: str
) -> None:
    assert old in GOOD[file]
    found = findings(tmp_path, **{**GOOD, file: GOOD[file].replace(old, new)})
    if not rule:
        assert found == []
        return
    assert len(found) == 1
    assert found[0][:2] == (rule, severity)
    assert found[0][2].startswith(where)


def test_too_few_brokers_are_found_over_all_files(tmp_path: Path) -> None:
    found = findings(tmp_path, kafka=GOOD_KAFKA, pools=pool("b", "broker", 2), topic=TOPIC)
    assert ("kafka-few-brokers", "error", "kafka.yaml:10: Kafka c.spec.kafka.config."
            "default.replication.factor") in found  # fmt: skip
    assert ("topic-copies", "error", "topic.yaml:4: KafkaTopic t.spec.replicas") in found
    alone = findings(tmp_path, kafka=GOOD_KAFKA)
    assert alone == []


def test_every_rule_has_a_case_that_fires_it() -> None:
    marks = test_each_rule_finds_its_flaw_where_it_is.pytestmark  # type: ignore[attr-defined]
    fired = {case[3] for case in marks[0].args[1]} | {"kafka-few-brokers"}
    assert set(STRIMZI_RULES) <= fired


def test_a_patch_is_judged_by_what_it_states_alone(tmp_path: Path) -> None:
    kafka = "apiVersion: kafka.strimzi.io/v1\nkind: Kafka\nmetadata: {name: c}\n"
    config = "spec: {kafka: {config: {min.insync.replicas: 1}}}\n"
    pools = "apiVersion: kafka.strimzi.io/v1\nkind: KafkaNodePool\nmetadata: {name: b}\n"
    operations = "- {op: replace, path: /spec/replicas, value: 1}\n"
    found = findings(tmp_path, kafka=kafka + config, pools=pools, operations=operations)
    assert [each[:2] for each in found] == [("kafka-default-copies", "error")]


def test_folders_are_looked_at_apart(tmp_path: Path) -> None:
    for folder, count in (("base", 3), ("laptop", 2)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "kafka.yaml").write_text(GOOD_KAFKA)
        (tmp_path / folder / "pool.yaml").write_text(pool("b", "broker", count))
    paths = sorted(tmp_path.glob("*/*.yaml"))
    assert {report.file: report.count("error") for report in validate_all(paths)} == {
        str(path): 3 if path.match("laptop/kafka.yaml") else 0 for path in paths
    }


def test_other_resources_of_kubernetes_are_passed_by(tmp_path: Path) -> None:
    path = tmp_path / "deployment.yaml"
    path.write_text("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\n")
    report = validate(path)
    assert (report.error, report.findings, report.subjects) == (None, [], [])


def test_resources_of_odd_forms_end_no_rule(tmp_path: Path) -> None:
    for body in (
        "spec: 3",
        "spec: {kafka: [], replicas: x, roles: 4}",
        "metadata: []",
        "spec: {authorization: {acls: [1, {resource: 3}]}, storage: {volumes: {}}}",
    ):
        for kind in ("Kafka", "KafkaNodePool", "KafkaUser"):
            findings(tmp_path, odd=f"apiVersion: kafka.strimzi.io/v1\nkind: {kind}\n{body}\n")
