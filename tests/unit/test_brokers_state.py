"""A cluster's directory: what is recognised as dead, what is cleaned up, what is left alone."""

from __future__ import annotations

import asyncio
import os
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kio.schema.metadata.v2.request import MetadataRequest
from kio.schema.metadata.v2.response import MetadataResponse

from harness.brokers.kinds import capabilities_of, connect
from harness.brokers.local.config import BROKER_IDS, PORTS_PER_NODE, NodePorts
from harness.brokers.local.ports import Hold, bind, choose_ports, is_free, port_range
from harness.brokers.local.recognised import cluster_at, cluster_with_id
from harness.brokers.local.state import (
    ClusterState,
    NodeState,
    ProcessIdentity,
    check_name,
    clusters_folder,
    creation_lock,
    find_directory,
    has_supervisor,
    kill_leftovers,
    ports_in_use,
    read_state,
    sweep,
    take_lock,
)
from harness.errors import ClusterError, UsageError
from harness.kafka.wire import View, ask_view, decode, encode, exchange, view_of


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that stands for a broker which outlived its supervisor."""
    process = subprocess.Popen(["sleep", "60"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def make(name: str, *, kept: bool, process: ProcessIdentity | None = None) -> Path:
    directory = clusters_folder() / name
    directory.mkdir()
    ports = {i: NodePorts(*range(100 * i, 100 * i + PORTS_PER_NODE)) for i in BROKER_IDS}
    nodes = {i: NodeState(i, ports[i]) for i in BROKER_IDS}
    nodes[1].process = process
    ClusterState(
        name=name,
        kept=kept,
        kafka_version="4.3.1",
        cluster_id="c",
        java="/java",
        class_path="a.jar",
        jvm_options=["-X"],
        nodes=nodes,
        supervisor=ProcessIdentity(os.getpid(), 1.0),
        control_port=99,
        token="hush",
        phase="running",
    ).write(directory)
    return directory


def test_a_state_is_read_as_it_was_written_and_by_its_owner_only() -> None:
    directory = make("one", kept=True, process=ProcessIdentity(7, 8.5))
    state = read_state(directory)
    assert state.nodes[1].process == ProcessIdentity(7, 8.5)
    assert state.nodes[2].process is None
    assert state.ports[3].direct == 304
    assert state.bootstrap == "127.0.0.1:100,127.0.0.1:200,127.0.0.1:300"
    assert (directory / "state.json").stat().st_mode & 0o777 == 0o600
    assert "hush" not in repr(state)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"schema": 99}', b'{"schema": 1}'])
def test_what_is_no_state_is_refused_with_its_path(content: bytes) -> None:
    directory = make("one", kept=True)
    (directory / "state.json").write_bytes(content)
    with pytest.raises(ClusterError, match=r"state\.json: no readable state"):
        read_state(directory)


def test_an_identity_is_the_process_and_not_its_number(sleeper: subprocess.Popen[bytes]) -> None:
    identity = ProcessIdentity.of(sleeper.pid)
    assert identity is not None
    assert identity.alive()
    other = ProcessIdentity(sleeper.pid, identity.started_at - 100)
    assert not other.alive()
    assert not other.kill()
    assert sleeper.poll() is None
    assert identity.kill()
    sleeper.wait(5)
    assert not identity.alive()
    assert ProcessIdentity.of(sleeper.pid) is None


def test_a_zombie_is_not_alive() -> None:
    process = subprocess.Popen(["true"])
    identity = ProcessIdentity.of(process.pid)
    assert identity is not None
    deadline = time.monotonic() + 5
    while identity.alive():
        assert time.monotonic() < deadline
    process.wait()


def test_a_sweep_ends_leftovers_and_removes_what_was_not_to_be_kept(
    sleeper: subprocess.Popen[bytes],
) -> None:
    directory = make("dead", kept=False, process=ProcessIdentity.of(sleeper.pid))
    with creation_lock():
        assert sweep() == ["dead"]
    assert sleeper.wait(5) == -9
    assert not directory.exists()


def test_a_sweep_keeps_the_data_of_a_kept_cluster(sleeper: subprocess.Popen[bytes]) -> None:
    directory = make("kept", kept=True, process=ProcessIdentity.of(sleeper.pid))
    with creation_lock():
        assert sweep() == ["kept"]
        assert sweep() == []
    assert sleeper.wait(5) == -9
    assert read_state(directory).name == "kept"


def test_a_sweep_never_touches_a_cluster_whose_supervisor_lives(
    sleeper: subprocess.Popen[bytes],
) -> None:
    directory = make("alive", kept=False, process=ProcessIdentity.of(sleeper.pid))
    lock = take_lock(directory)
    assert lock is not None
    with creation_lock():
        assert sweep() == []
    assert sleeper.poll() is None
    assert has_supervisor(directory)
    os.close(lock)
    assert not has_supervisor(directory)


def test_a_sweep_spares_a_later_process_of_the_same_number(
    sleeper: subprocess.Popen[bytes],
) -> None:
    make("dead", kept=False, process=ProcessIdentity(sleeper.pid, 12345.0))
    with creation_lock():
        sweep()
    assert sleeper.poll() is None


def test_a_sweep_removes_a_directory_that_never_got_a_state() -> None:
    (clusters_folder() / "half-made").mkdir()
    with creation_lock():
        sweep()
    assert not (clusters_folder() / "half-made").exists()


def test_a_sweep_leaves_a_state_alone_that_it_cannot_read() -> None:
    directory = make("of-another-version", kept=True)
    (directory / "state.json").write_text('{"schema": 99}')
    with creation_lock():
        assert sweep() == []
    assert directory.exists()


def test_a_reaper_ends_the_brokers_once_its_supervisor_is_gone(
    sleeper: subprocess.Popen[bytes],
) -> None:
    directory = make("dead", kept=False, process=ProcessIdentity.of(sleeper.pid))
    lock = take_lock(directory)
    assert lock is not None
    reaper = subprocess.Popen(
        [sys.executable, "-m", "harness.brokers.local.reaper", str(directory)],
        stdin=subprocess.PIPE,
    )
    with pytest.raises(subprocess.TimeoutExpired):
        sleeper.wait(1)
    os.close(lock)
    reaper.communicate(timeout=20)
    assert sleeper.wait(5) == -9
    assert not directory.exists()


def test_leftovers_are_gone_when_the_call_returns(sleeper: subprocess.Popen[bytes]) -> None:
    identity = ProcessIdentity.of(sleeper.pid)
    directory = make("dead", kept=True, process=identity)
    assert kill_leftovers(read_state(directory)) == [sleeper.pid]
    assert identity is not None
    assert not identity.alive()


@pytest.mark.parametrize(
    ("kept", "asked", "found"),
    [
        (["a"], None, "a"),
        (["a", "b"], "b", "b"),
        ([], None, "No local cluster is kept"),
        (["a", "b"], None, "More than one local cluster is kept: a, b"),
        (["a"], "c", "no local cluster 'c'; known: a, run"),
    ],
)
def test_the_cluster_that_is_meant_is_found_or_the_choice_is_shown(
    kept: list[str], asked: str | None, found: str
) -> None:
    for name in kept:
        make(name, kept=True)
    make("run", kept=False)
    if found in kept:
        assert find_directory(asked) == clusters_folder() / found
    else:
        with pytest.raises(UsageError, match=found):
            find_directory(asked)


@pytest.mark.parametrize("name", ["", "-a", "A", "a/b", "..", "a" * 41, "a b"])
def test_a_name_that_could_leave_the_folder_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cluster name"):
        check_name(name)


# -- ports -------------------------------------------------------------------------------------


def test_ports_lie_below_those_of_outgoing_connections() -> None:
    path = Path("/proc/sys/net/ipv4/ip_local_port_range")
    lowest = int(path.read_text().split()[0]) if path.exists() else 49_152
    assert port_range().stop <= lowest
    assert len(port_range()) > 1000


def test_chosen_ports_are_distinct_avoid_the_taken_and_are_held_at_once() -> None:
    first, held = choose_ports([])
    numbers = list(held)
    assert len(set(numbers)) == len(BROKER_IDS) * PORTS_PER_NODE
    assert first[1].client == numbers[0]
    assert not any(is_free(port) for port in numbers)
    _, also_held = choose_ports([])
    assert not set(numbers) & set(also_held)
    for socket in (*held.values(), *also_held.values()):
        socket.close()
    _, held = choose_ports(numbers)
    assert not set(numbers) & set(held)
    for socket in held.values():
        socket.close()


def test_ports_of_every_known_cluster_count_as_taken() -> None:
    make("stopped", kept=True)
    assert {99, 100, 105, 300, 305} <= ports_in_use()


@pytest.mark.skipif(not Hold.stays, reason="elsewhere the hold is let go for the broker")
def test_a_held_port_can_be_listened_on_by_its_broker_and_bound_by_nobody_else() -> None:
    numbers, held = choose_ports([])
    for socket in held.values():
        socket.close()
    hold = Hold(numbers[1].direct, bind(numbers[1].direct))
    hold.make_way()

    async def broker() -> None:
        server = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", hold.port)
        server.close()
        await server.wait_closed()

    for _ in range(2):
        asyncio.run(broker())
        assert not is_free(hold.port)
    hold.release()
    assert is_free(hold.port)


# -- the one question asked over the wire --------------------------------------------------------


def answer(correlation: int = 1) -> bytes:
    broker = struct.pack(">ih9sih", 2, 9, b"127.0.0.1", 17004, -1)
    other = struct.pack(">ih9sih2s", 3, 9, b"127.0.0.1", 17010, 2, b"r1")
    head = struct.pack(">ii", correlation, 2)
    return head + broker + other + struct.pack(">h7si", 7, b"cluster", 3) + struct.pack(">i", 0)


def test_a_metadata_answer_is_read() -> None:
    assert view_of(decode(answer(), MetadataResponse, 1)) == View(frozenset({2, 3}), "cluster", 3)


@pytest.mark.parametrize("length", range(0, len(answer()) - 4, 3))
def test_a_metadata_answer_cut_short_is_refused_and_not_guessed(length: int) -> None:
    with pytest.raises(ValueError, match="answer"):
        decode(answer()[:length], MetadataResponse, 1)


def test_an_answer_to_another_question_is_refused() -> None:
    with pytest.raises(ValueError, match="not an answer"):
        decode(answer(correlation=2), MetadataResponse, 1)


def test_a_metadata_request_carries_its_length() -> None:
    request = encode(MetadataRequest(topics=()), 1)
    assert struct.unpack(">i", request[:4])[0] == len(request) - 4


@pytest.mark.parametrize("length", [0, -1, 1 << 30])
def test_an_answer_of_an_impossible_length_is_not_waited_for(length: int) -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(struct.pack(">i", length))
        await writer.drain()

    async def main() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        try:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(ValueError, match=f"an answer of {length} bytes"):
                await exchange("127.0.0.1", port, encode(MetadataRequest(topics=()), 1), 5.0)
        finally:
            server.close()

    asyncio.run(main())


def test_a_broker_that_accepts_and_never_answers_is_given_up_in_time() -> None:
    async def main() -> View | None:
        server = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
        try:
            return await ask_view(server.sockets[0].getsockname()[:2], 0.2)
        finally:
            server.close()

    assert asyncio.run(main()) is None


@pytest.mark.parametrize(
    ("addresses", "ours"),
    [
        ("127.0.0.1:100,127.0.0.1:200,127.0.0.1:300", True),
        ("127.0.0.1:200", True),
        ("localhost:300,127.0.0.1:100", True),
        ("127.0.0.1:304", True),  # past the proxy
        ("127.0.0.1:303", False),  # where followers fetch
        ("127.0.0.1:301", False),
        ("broker.example:100", False),
        ("127.0.0.1:100,broker.example:9092", False),
    ],
)
def test_the_addresses_of_a_running_cluster_are_that_cluster(addresses: str, ours: bool) -> None:
    directory = make("one", kept=True)
    held = take_lock(directory)
    assert held is not None
    try:
        assert cluster_at(addresses.split(",")) == (directory if ours else None)
        assert connect(addresses).kind == ("local" if ours else "foreign")
        assert bool(capabilities_of(addresses)) is ours
    finally:
        os.close(held)


def test_the_addresses_of_a_cluster_that_has_ended_may_be_somebody_elses() -> None:
    make("one", kept=True)
    assert connect("127.0.0.1:100").kind == "foreign"
    assert cluster_with_id("c") is None


def test_a_running_cluster_is_known_by_its_cluster_id() -> None:
    directory = make("one", kept=True)
    held = take_lock(directory)
    assert held is not None
    try:
        assert cluster_with_id("c") == directory
        assert cluster_with_id("d") is None
        assert cluster_with_id("") is None
    finally:
        os.close(held)
