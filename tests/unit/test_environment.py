"""What a process is told by variables is what it was meant to be told."""

from __future__ import annotations

from pathlib import Path

from harness.kafka.environment import HarnessEnvironment, child_environment


def test_what_one_process_says_another_one_reads() -> None:
    said = HarnessEnvironment(
        run_dir=Path("/runs/1"),
        cluster="mine",
        brokers="b:1",
        client_config_json='{"acks": "all"}',
        clock_epoch_ns=12,
        java=Path("/bin/java"),
    )
    assert HarnessEnvironment.read(said.variables()) == said
    assert HarnessEnvironment.read({}) == HarnessEnvironment()
    assert HarnessEnvironment().variables() == {}


def test_an_empty_variable_is_an_absent_one() -> None:
    variables = dict.fromkeys(HarnessEnvironment.read().variables(), "")
    assert HarnessEnvironment.read({**variables, "HARNESS_BROKERS": ""}) == HarnessEnvironment()


def test_connection_settings_are_texts_as_the_client_spells_them() -> None:
    variables = {
        "HARNESS_CLIENT_CONFIG": '{"socket.keepalive.enable": true, "socket.timeout.ms": 5000}'
    }
    assert HarnessEnvironment.read(variables).connection("b:1") == {
        "bootstrap.servers": "b:1",
        "socket.keepalive.enable": "true",
        "socket.timeout.ms": "5000",
    }
    named = HarnessEnvironment.read(child_environment({"bootstrap.servers": "c:2"}))
    assert named.connection("b:1") == {"bootstrap.servers": "c:2"}
    assert named.run_dir is None


def test_a_secret_is_not_shown() -> None:
    assert "hunter2" not in repr(
        HarnessEnvironment.read(child_environment({"sasl.password": "hunter2"}))
    )
