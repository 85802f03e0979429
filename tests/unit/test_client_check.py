"""Connection settings: what the client refuses is refused before anything is made; no secret shows.

Every refusal here is librdkafka's own: it is constructed with the settings.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli.main import build_parser, main
from harness.cli.run_arguments import options_of
from harness.errors import UsageError, redact_argv
from harness.kafka.client_check import refusal
from harness.profiles import split_settings
from harness.runs.locust_request import command_of
from harness.runs.options import RunOptions
from harness.runs.plan import RunPlan, settings_of
from harness.runs.plan import plan as plan_of
from harness.runs.recorder import brokers_of

ADDRESS = ("--brokers", "127.0.0.1:9092", "--experiment", "no_fault")
PASSWORD = "correct-horse-battery"


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two certificates with their keys, the second key encrypted; and a file that is no PEM."""
    folder = tmp_path_factory.mktemp("pem")
    for name, key in (("a", ["-nodes"]), ("b", ["-passout", f"pass:{PASSWORD}"])):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", *key, "-days", "3"]
            + ["-keyout", f"{name}.key", "-out", f"{name}.crt", "-subj", f"/CN={name}"],
            cwd=folder,
            check=True,
            capture_output=True,
        )
    for name in ("no.pem", "no.p12"):
        (folder / name).write_text("this is no certificate\n")
    return folder


SSL = "security.protocol=ssl"
SASL = "security.protocol=sasl_plaintext"
REFUSED = {
    "a CA that is missing": ([SSL, "ssl.ca.location={pem}/nope.crt"], "ssl.ca.location", "No such"),
    "a CA that is no PEM": ([SSL, "ssl.ca.location={pem}/no.pem"], "ssl.ca.location", "in PEM"),
    "a certificate that is missing": (
        [SSL, "ssl.certificate.location={pem}/nope.crt"],
        "ssl.certificate.location",
        "No such",
    ),
    "a certificate that is no PEM": (
        [SSL, "ssl.certificate.location={pem}/no.pem"],
        "ssl.certificate.location",
        "in PEM",
    ),
    "a key that is no PEM": (
        [SSL, "ssl.certificate.location={pem}/a.crt", "ssl.key.location={pem}/no.pem"],
        "ssl.key.location",
        "no private key in PEM",
    ),
    "a key of another certificate": (
        [
            SSL,
            "ssl.certificate.location={pem}/a.crt",
            "ssl.key.location={pem}/b.key",
            f"ssl.key.password={PASSWORD}",
        ],
        "ssl.key.location",
        "does not belong",
    ),
    "a wrong password of a key": (
        [
            SSL,
            "ssl.certificate.location={pem}/b.crt",
            "ssl.key.location={pem}/b.key",
            "ssl.key.password=never-this-one",
        ],
        "ssl.key.location",
        "ssl.key.password is wrong",
    ),
    "a missing password of a key": (
        [SSL, "ssl.certificate.location={pem}/b.crt", "ssl.key.location={pem}/b.key"],
        "ssl.key.location",
        "ssl.key.password is missing",
    ),
    "a store that is no PKCS#12": (
        [SSL, "ssl.keystore.location={pem}/no.p12", "ssl.keystore.password=never-this-one"],
        "ssl.keystore.location",
        "PKCS#12",
    ),
    "SCRAM without a user name": (
        [SASL, "sasl.mechanism=SCRAM-SHA-512", "sasl.password=never-this-one"],
        "sasl.username",
        "missing",
    ),
    "PLAIN without a password": (
        [SASL, "sasl.mechanism=PLAIN", "sasl.username=app"],
        "sasl.password",
        "missing",
    ),
    "GSSAPI": ([SASL, "sasl.mechanism=GSSAPI"], "sasl.mechanism", "SCRAM-SHA-512"),
    "no mechanism": ([SASL], "sasl.mechanism", "is missing"),
    "a mechanism that is none": (
        [SASL, "sasl.mechanism=SCRAM-SHA-384", "sasl.username=a", "sasl.password=never-this-one"],
        "sasl.mechanism",
        "SCRAM-SHA-512",
    ),
    "OIDC without its endpoint": (
        [SASL, "sasl.mechanism=OAUTHBEARER", "sasl.oauthbearer.method=oidc"],
        "sasl.oauthbearer.token.endpoint.url",
        "missing",
    ),
    "OAUTHBEARER without any token": (
        [SASL, "sasl.mechanism=OAUTHBEARER"],
        "sasl.oauthbearer.token.endpoint.url",
        "missing",
    ),
    "a cipher that is none": ([SSL, "ssl.cipher.suites=ROT13"], "ssl.cipher.suites", "cipher"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("given", ["--config", "--properties"])
def test_settings_that_the_client_refuses_are_wrong_usage_before_anything_is_made(
    case: str,
    given: str,
    pem: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pairs, setting, says = REFUSED[case]
    pairs = [pair.format(pem=pem) for pair in pairs]
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    if given == "--config":
        options_given = [word for pair in pairs for word in ("--config", pair)]
        where = "--config: "
    else:
        file = tmp_path / "client.properties"
        file.write_text("".join(f"{pair}\n" for pair in pairs))
        options_given = ["--properties", str(file)]
        where = f"{file}:"
    assert main(["run", *ADDRESS, *options_given]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"harness: {where}")
    assert f"{setting}: " in said
    assert says in said
    assert "never-this-one" not in said
    assert PASSWORD not in said
    assert list(work.iterdir()) == []


@pytest.mark.parametrize("case", REFUSED)
def test_validate_says_of_a_file_what_a_run_says_of_it(
    case: str, pem: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs, _, says = REFUSED[case]
    file = tmp_path / "client.properties"
    file.write_text("".join(f"{pair.format(pem=pem)}\n" for pair in pairs))
    assert main(["run", *ADDRESS, "--properties", str(file)]) == 2
    refused = capsys.readouterr().err.removeprefix("harness: ").strip()
    assert main(["validate", "--json", str(file)]) == 1
    found = json.loads(capsys.readouterr().out)["files"][0]["findings"]
    client = [each for each in found if each["rule"] == "client-refuses"]
    assert [f"{each['where']}: {each['message']}" for each in client] == [refused]
    assert says in refused


def test_settings_that_the_client_takes_are_not_refused(pem: Path) -> None:
    for pairs in (
        [],
        [SSL, f"ssl.ca.location={pem}/a.crt"],
        [
            SSL,
            f"ssl.certificate.location={pem}/b.crt",
            f"ssl.key.location={pem}/b.key",
            f"ssl.key.password={PASSWORD}",
        ],
        [SASL, "sasl.mechanism=SCRAM-SHA-512", "sasl.username=a", "sasl.password=b"],
        [
            *(SASL, "sasl.mechanism=OAUTHBEARER", "sasl.oauthbearer.method=oidc"),
            *("sasl.oauthbearer.client.id=x", "sasl.oauthbearer.client.secret=y"),
            "sasl.oauthbearer.token.endpoint.url=http://127.0.0.1:1/token",
        ],
    ):
        assert refusal(split_settings(pairs).connection) is None, pairs


def test_producer_settings_that_contradict_each_other_are_wrong_usage(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    arguments = ["run", "--profile", "idempotent", "--out", str(out)]
    assert main([*arguments, "--config", "message.timeout.ms=4", "--config", "linger.ms=5"]) == 2
    assert "message.timeout.ms must be greater than linger.ms" in capsys.readouterr().err
    assert not out.exists()


def plan(*arguments: str) -> RunPlan:
    return plan_of(options_of(build_parser().parse_args(["run", *arguments])))


# ------------------------------------------------------------------------------------- address


def test_bootstrap_servers_of_the_settings_is_the_address(tmp_path: Path) -> None:
    file = tmp_path / "client.properties"
    file.write_text("bootstrap.servers = b1.example:9092, b2.example:9092\n")
    calm = ("--experiment", "no_fault")
    assert plan(*calm, "--properties", str(file)).brokers == "b1.example:9092,b2.example:9092"
    assert plan(*calm, "--config", "bootstrap.servers=b3:1").brokers == "b3:1"
    # The command line wins over the file, as for every other setting.
    both = plan(*calm, "--properties", str(file), "--config", "bootstrap.servers=b3:1")
    assert both.brokers == "b3:1"
    same = plan(
        *calm,
        *("--config", "metadata.broker.list=b1:1,b2:2", "--brokers", "b2:2, b1:1"),
    )
    assert same.connection == {}
    assert plan(*calm).brokers == "local"


@pytest.mark.parametrize("brokers", ["local", "local:mine", "other.example:9092"])
def test_bootstrap_servers_that_contradict_the_brokers_are_refused(brokers: str) -> None:
    with pytest.raises(UsageError, match="not the same brokers"):
        plan(
            *("--experiment", "no_fault", "--brokers", brokers),
            *("--config", "bootstrap.servers=b1.example:9092"),
        )


def test_a_bootstrap_server_that_is_no_address_is_refused_by_its_place() -> None:
    with pytest.raises(UsageError, match=r"--config: bootstrap\.servers .*'b1' is no HOST:PORT"):
        plan("--experiment", "no_fault", "--config", "bootstrap.servers=b1")


def test_security_without_an_address_never_means_the_local_brokers() -> None:
    with pytest.raises(UsageError, match=r"security\.protocol.*local brokers have neither"):
        plan("--config", "security.protocol=ssl")
    assert plan("--config", "security.protocol=plaintext").brokers == "local"


def test_the_recorder_of_a_locust_run_finds_brokers_by_the_same_rule(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("HARNESS_CLUSTER", raising=False)
    monkeypatch.setenv("HARNESS_BROKERS", "env.example:9092")
    monkeypatch.setenv("HARNESS_CLIENT_CONFIG", json.dumps({"client.id": "me"}))
    stated = split_settings(["bootstrap.servers=set.example:9092", "client.id=you"])
    assert brokers_of("", stated).client_config == {
        "bootstrap.servers": "set.example:9092",
        "client.id": "you",
    }
    assert brokers_of("", split_settings([])).bootstrap == "env.example:9092"
    with pytest.raises(UsageError, match="not the same brokers"):
        brokers_of("other.example:1", split_settings(["bootstrap.servers=set.example:9092"]))


# -------------------------------------------------------------------------------------- secrets


def test_a_value_is_read_from_the_environment_or_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APP_PASSWORD", "hunter2-of-the-environment")
    (tmp_path / "password").write_text("hunter2 = of a file\n")
    for reference, value in (
        ("env:APP_PASSWORD", "hunter2-of-the-environment"),
        (f"file:{tmp_path}/password", "hunter2 = of a file"),
    ):
        asked = plan(
            *ADDRESS,
            *("--config", SASL, "--config", "sasl.mechanism=PLAIN", "--config"),
            *("sasl.username=app", "--config", f"sasl.password={reference}"),
        )
        assert asked.connection["sasl.password"] == value
        assert f"sasl.password={reference}" in asked.request.command
        assert "hunter2" not in json.dumps(asked.request.command)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("env:NO_SUCH_VARIABLE", "NO_SUCH_VARIABLE is not set"),
        ("env:AN_EMPTY_ONE", "AN_EMPTY_ONE is empty"),
        ("env:", "is not set"),
        ("file:/nowhere/password", "cannot be read"),
        ("file:/", "cannot be read"),
        ("file:/dev/null", "holds no value"),
    ],
)
def test_a_reference_that_leads_to_nothing_is_refused_by_its_name(
    value: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AN_EMPTY_ONE", "")
    with pytest.raises(UsageError, match=says) as refused:
        split_settings([f"sasl.password={value}"])
    assert value in str(refused.value)


def test_a_placeholder_is_refused_instead_of_taken_for_a_value(tmp_path: Path) -> None:
    file = tmp_path / "client.properties"
    file.write_text("sasl.password=${env:APP_PASSWORD}\n")
    with pytest.raises(UsageError, match=r"--config sasl\.password=env:VARIABLE"):
        settings_of([], file)


def test_redaction_keeps_a_reference_and_nothing_else_of_a_secret() -> None:
    assert redact_argv(["--config", "sasl.password=env:APP", "--config=ssl.key.password=x"]) == [
        *("--config", "sasl.password=env:APP"),
        "--config=ssl.key.password=[redacted]",
    ]


def test_the_command_of_a_locust_run_holds_references_and_no_secret() -> None:
    options = RunOptions(
        config=("sasl.password=hunter2", "ssl.key.password=env:KEY"),
        properties=Path("client.properties"),
    )
    assert "hunter2" not in repr(options)
    command = command_of(options, 7)
    assert command[-6:] == [
        *("--properties", "client.properties"),
        *("--client-config", "sasl.password=[redacted]"),
        *("--client-config", "ssl.key.password=env:KEY"),
    ]


def test_a_process_with_a_reference_shows_no_secret_to_those_who_list_processes() -> None:
    program = (
        "import sys; from harness.profiles import split_settings\n"
        "found = split_settings([sys.argv[1]]).connection['sasl.password']\n"
        "print(found == 'hunter2-not-shown', open('/proc/self/cmdline').read())"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program, "sasl.password=env:SECRET_OF_APP"],
        env={**os.environ, "SECRET_OF_APP": "hunter2-not-shown"},
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    assert shown.startswith("True ")
    assert "hunter2-not-shown\0" not in shown
