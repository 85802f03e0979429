"""`harness validate` and `harness list`: files in, findings, exit codes and names out."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from harness.cli import profiles as commands
from harness.errors import UsageError
from harness.faults.registry import FAULTS
from harness.profiles import load_builtin, load_profiles, read_properties
from harness.profiles.validate import validate

TOPIC = "name: orders, replication.factor: 3, min.insync.replicas: 2"
CLEAN = f"topics: [{{{TOPIC}, retention.ms: 1000}}]"
WARNED = f"topics: [{{{TOPIC}}}]"
WRONG = "topics: [{name: orders, replicas: 3, config: {min.insync.replicas: 3, retention.ms: 1}}]"


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    commands.add_validate_arguments(parser)
    return commands.run_validate(parser.parse_args(arguments))


def write(tmp_path: Path, name: str, text: str) -> str:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("clean.yaml", CLEAN, 0),
        ("warned.yml", WARNED, 0),
        ("wrong.yaml", WRONG, 1),
        ("bare-list.yaml", "[{name: a, replication.factor: 1}]", 1),
        ("mapping.yaml", "topics: {orders: {replication.factor: 1}}", 1),
        ("ok.properties", "acks=all\n", 0),
        ("bad.properties", "acks=0\n", 1),
        ("remote.properties", "bootstrap.servers=kafka.example.com:9092\n", 1),
        ("remote-tls.properties", "bootstrap.servers=k.example.com:1\nsecurity.protocol=SSL\n", 0),
        ("profile.yaml", "profiles: {mine: {extends: idempotent}}", 0),
        ("weak.yaml", "profiles: {mine: {extends: idempotent, producer: {acks: 1}}}", 1),
        ("loose.yaml", "profiles: {mine: {extends: leader-ack}}", 0),
        ("unknown.yaml", "things: []", 2),
        ("empty.yaml", "", 2),
        ("broken.yaml", "topics: [", 2),
        ("typo.yaml", "topics: [{name: a, replication.facter: 3}]", 1),
        ("nameless.yaml", "topics: [{replication.factor: 3}]", 1),
        ("typo.properties", "ackz=all\n", 1),
        ("open.properties", "acks=${ACKS}\n", 0),
        ("what.txt", "acks=all", 2),
    ],
)
def test_the_exit_code_tells_errors_warnings_and_unreadable_files_apart(
    tmp_path: Path, name: str, text: str, code: int
) -> None:
    assert run(write(tmp_path, name, text)) == code


def test_a_file_that_is_not_there_is_unreadable(tmp_path: Path) -> None:
    assert run(str(tmp_path / "none.yaml")) == 2


def test_an_unreadable_file_does_not_hide_the_findings_of_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(write(tmp_path, "a.yaml", WRONG), write(tmp_path, "b.yaml", "topics: ["))
    shown = capsys.readouterr()
    assert code == 2
    assert "[min-isr-against-replication]" in shown.out
    assert "b.yaml:1: cannot be read as YAML" in shown.err


def test_a_finding_names_the_line_on_one_untruncated_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "topics:\n  - name: orders\n    config:\n      unclean.leader.election.enable: true\n"
    file = write(tmp_path, "topics.yaml", text)
    run(file)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(
        f"{file}:4: orders.unclean.leader.election.enable: error [unclean-election] "
    )


def test_a_setting_from_an_extended_profile_is_placed_at_the_profile(tmp_path: Path) -> None:
    file = write(tmp_path, "p.yaml", "profiles:\n  mine:\n    extends: leader-ack\n")
    assert {finding.where.split(": ")[0] for finding in validate(Path(file)).findings} == {
        f"{file}:2"
    }


def test_strimzi_topics_are_found_among_other_resources(tmp_path: Path) -> None:
    text = """
apiVersion: kafka.strimzi.io/v1
kind: Kafka
metadata: {name: cluster}
---
apiVersion: kafka.strimzi.io/v1
kind: KafkaTopic
metadata:
  name: payments
spec:
  partitions: 3
  replicas: 3
  config:
    min.insync.replicas: 1
    retention.ms: 1000
"""
    report = validate(Path(write(tmp_path, "k.yaml", text)))
    assert (report.kind, report.subjects) == ("Kubernetes", ["Kafka cluster", "payments"])
    assert ("min-isr-1", ":14: payments.min.insync.replicas") in [
        (each.rule, each.where.removeprefix(report.file)) for each in report.findings
    ]


def test_json_is_one_document_with_every_finding(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run("--json", write(tmp_path, "a.yaml", WRONG), write(tmp_path, "b.yaml", WARNED))
    document = json.loads(capsys.readouterr().out)
    assert (code, document["errors"], document["warnings"]) == (1, 1, 1)
    assert [file["kind"] for file in document["files"]] == ["topics", "topics"]
    assert document["files"][0]["findings"][0]["rule"] == "min-isr-against-replication"


def test_a_password_in_a_properties_file_is_never_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (
        "bootstrap.servers=k.example.com:1\nsecurity.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN"
        '\nsasl.jaas.config=x.PlainLoginModule required username="u" password="hunter2";\n'
    )
    file = write(tmp_path, "c.properties", text)
    assert run(file) == 1
    assert run("--json", file) == 1
    shown = capsys.readouterr()
    assert "hunter2" not in shown.out + shown.err


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("profiles", list(load_builtin())),
        ("faults", list(FAULTS)),
        (
            "experiments",
            sorted(
                path.stem
                for path in (Path(__file__).resolve().parents[2] / "experiments").glob("*.yaml")
            ),
        ),
    ],
)
def test_a_piped_list_is_one_name_a_line(
    kind: str, expected: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    commands.add_list_arguments(parser)
    assert commands.run_list(parser.parse_args([kind])) == 0
    assert capsys.readouterr().out.split("\n") == [*expected, ""]
    assert expected


EVERYTHING_WRONG = """\
acks=0
lingr.ms=5
linger.ms=fast
retries=${RETRIES}
acks=1
security.protocol=SSL
ssl.truststore.location=/etc/trust store.jks
ssl.keystore.location=/etc/k.jks
ssl.keystore.password=hunter2
sasl.jaas.config=x.PlainLoginModule required username="u" password="${PASSWORD}";
transaction.timeout.ms=900001
"""


def test_everything_that_is_wrong_in_a_properties_file_is_found_at_once(tmp_path: Path) -> None:
    report = validate(Path(write(tmp_path, "c.properties", EVERYTHING_WRONG)))
    assert report.error is None
    found = {(f.rule, f.where.split(":")[1], f.severity) for f in report.findings}
    assert found >= {
        ("unknown-setting", "2", "error"),
        ("refused-value", "3", "error"),
        ("placeholder", "4", "warning"),
        ("stated-twice", "5", "error"),
        ("unreadable-store", "7", "error"),
        ("unreadable-store", "8", "error"),
        ("placeholder", "10", "warning"),
        # The rest is linted all the same, by the last value of a key.
        ("acks-not-all", "5", "error"),
        ("transaction-timeout-above-broker", "11", "error"),
    }
    assert not [f for f in report.findings if "retries=0" in f.message]
    told = json.dumps(report.to_json())
    assert "hunter2" not in told
    assert "-keystore '/etc/trust store.jks'" in told


def test_a_run_is_told_everything_that_is_wrong_in_a_properties_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        read_properties(Path(write(tmp_path, "c.properties", EVERYTHING_WRONG)))
    places = [line.split(":")[1] for line in str(refused.value).splitlines()]
    assert sorted(map(int, places)) == [2, 3, 4, 5, 7, 8, 10]


def test_everything_that_is_wrong_in_a_file_of_profiles_is_found_at_once(tmp_path: Path) -> None:
    text = """\
profiles:
  mine:
    extends: idempotent
    producer:
      lingr.ms: 5
      acks: 1
      retries: ${RETRIES}
      linger.ms: fast
      group.id: x
    consume: {mode: whenever, members: 0}
    promises: [no_lost, no_loss]
    topics: two
  child:
    extends: nothing
    topic: {retention: 5}
  good:
    extends: idempotent
    topic: {min.insync.replicas: 1}
  good2: {extends: mine}
"""
    report = validate(Path(write(tmp_path, "p.yaml", text)))
    assert report.error is None
    assert report.subjects == ["mine", "good", "good2"]
    found = {(f.rule, f.where.split(": ")[-1]) for f in report.findings}
    assert found >= {
        ("unknown-setting", "mine.producer.lingr.ms"),
        ("placeholder", "mine.producer.retries"),
        ("refused-value", "mine.producer.linger.ms"),
        ("misplaced-setting", "mine.producer.group.id"),
        ("malformed", "mine.consume.mode"),
        ("malformed", "mine.consume.members"),
        ("malformed", "mine.promises"),
        ("refused-value", "mine.topics"),
        ("malformed", "child.extends"),
        ("unknown-setting", "child.topic.retention"),
        ("promise-beyond-settings", "mine.promises"),
        ("min-isr-1", "good.topic.min.insync.replicas"),
    }
    with pytest.raises(UsageError) as refused:
        load_profiles([tmp_path / "p.yaml"])
    assert len(str(refused.value).splitlines()) == 10


def test_everything_that_is_wrong_in_a_file_of_topics_is_found_at_once(tmp_path: Path) -> None:
    text = """\
topics:
  - {name: a, replication.factor: 3, config: {min.insync.replica: 2, retention.ms: long}}
  - {partitions: 3}
  - orders
  - {name: b, replicas: "${COPIES}", config: {min.insync.replicas: 2, retention.ms: 1}}
  - {name: c, replicas: 1, critical: 1, config: {retention.ms: 1}}
"""
    report = validate(Path(write(tmp_path, "t.yaml", text)))
    assert report.error is None
    found = {(f.rule, f.where.split(":")[1], f.severity) for f in report.findings}
    assert found >= {
        ("unknown-setting", "2", "error"),
        ("refused-value", "2", "error"),
        ("malformed", "3", "error"),
        ("malformed", "4", "error"),
        ("placeholder", "5", "warning"),
        ("refused-value", "6", "error"),
        ("replication-factor", "6", "error"),
    }
    assert not [f for f in report.findings if f.where.split(":")[1] == "5" and "isr" in f.rule]


@pytest.mark.parametrize("name", ["sasl.password", "ssl.key.password"])
@pytest.mark.parametrize(("value", "held"), [("${PW}", True), ("a${b}c", False), ("$x", True)])
def test_a_password_is_a_placeholder_only_where_all_of_it_is_one(
    tmp_path: Path, name: str, value: str, held: bool
) -> None:
    report = validate(Path(write(tmp_path, "c.properties", f"{name}={value}\n")))
    assert bool([f for f in report.findings if f.rule == "placeholder"]) is held
    assert value not in json.dumps(report.to_json())


def test_the_text_says_everything_that_the_json_document_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [
        write(tmp_path, "a.properties", EVERYTHING_WRONG),
        write(tmp_path, "b.yaml", CLEAN),
        write(tmp_path, "c.yaml", "topics: ["),
        write(tmp_path, "d.yaml", WRONG),
    ]
    run("--json", *files)
    document = json.loads(capsys.readouterr().out)
    run(*files)
    shown = capsys.readouterr()
    text = shown.out + shown.err
    for file in document["files"]:
        words = [file["file"], file["error"] or file["kind"], *file["subjects"]]
        words += [value for finding in file["findings"] for value in finding.values()]
        assert [word for word in words if word not in text] == []
    assert f"{document['errors']} errors, {document['warnings']} warnings" in text
