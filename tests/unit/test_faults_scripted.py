"""Every fault against brokers that are a script: it takes effect, does not, or is interrupted.

Nothing here knows a process or a port of a broker: what `BrokerControl` offers is all that faults
need. The same faults strike a real cluster in tests/cluster.
"""

from __future__ import annotations

import inspect
import json
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import faults
from harness.errors import UsageError
from harness.faults import fault as decorator
from harness.faults import healing, members, registry
from harness.faults.injection import Injection
from harness.faults.registry import FAULTS, MEMBERS
from harness.kafka.leaders import await_that
from harness.rundir.run_dir import RunDir
from harness.rundir.run_info import ConsumeRun
from harness.rundir.timeline import read_timeline
from tests.support.runs import load_plan, profile_run, run_info
from tests.support.scripted_control import Script, ScriptedTarget
from tests.support.scripted_pool import ScriptedPool, scripted_pool
from tests.support.timelines import lines_of

TOPIC = "harness-r-p"
LEADER = 2
QUICK: dict[str, dict[str, Any]] = {
    "cut_replication_then_kill_leader": {"hold_s": 0.01},
    "cut_responses": {"hold_s": 0.01},
    "kill_leader_without_operator": {"hold_s": 0.0},
    "kill_member": {"moment": "any"},
    "no_fault": {"hold_s": 0.01},
    "revoke_operator_then_kill_leader": {"hold_s": 0.0},
    "pause_leader": {"hold_s": 0.03},
    "pause_member": {"hold_s": 0.03, "moment": "any"},
    "rebalance_storm": {"rounds": 2, "every_s": 0.01},
    "scale_members": {"to": 3},
    "stop_followers_then_kill_leader": {"hold_s": 0.01},
}
"""Arguments that let a fault be over at once."""
WITHOUT_EVIDENCE_TIMEOUT = (
    "cut_responses", "kill_follower", "no_fault", "roll_by_annotation", "roll_by_change",
    "rolling_restart",
)  # fmt: skip
OF_BROKERS = [
    name for name, fault in FAULTS.items() if fault.needs != {MEMBERS} and name != "run_command"
]
"""A command of the user's has tests of its own: tests/unit/test_fault_command.py."""
OF_MEMBERS = [name for name, fault in FAULTS.items() if fault.needs == {MEMBERS}]

Strike = Callable[..., tuple[Script, Callable[..., dict[str, Any]]]]


@pytest.fixture
def run_dir(tmp_path: Path) -> RunDir:
    """A run with one profile that has transactions and a group of two members."""
    consume = ConsumeRun("commit-after", "classic", 2, 0.0, "g")
    profile = profile_run(
        "p",
        TOPIC,
        producer={"transactional.id": "h-{instance}"},
        consumer={"session.timeout.ms": "20"},
        consume=consume,
    )
    made = RunDir.create(tmp_path / "run")
    made.write_info(run_info(profile, load=load_plan(partitions=4)))
    return made


@pytest.fixture
def strike(tmp_path: Path, run_dir: RunDir, monkeypatch: pytest.MonkeyPatch) -> Strike:
    """(the script, the fault with quick arguments) for a fault and what is to be missing."""

    def scripted(
        name: str, *missing: str, **more: Any
    ) -> tuple[Script, Callable[..., dict[str, Any]]]:
        script = Script(tmp_path, frozenset(missing), **more)
        script.add_topic(TOPIC, LEADER, LEADER)
        script.add_topic("__transaction_state", 1, 2, 3)
        script.add_topic("__consumer_offsets", 1, 2, 3)
        target = ScriptedTarget(script, run_dir)
        monkeypatch.setattr(decorator, "attach", lambda: target)
        monkeypatch.setattr(healing, "attach", lambda: target)
        arguments = dict(QUICK.get(name, {}))
        if missing and name not in WITHOUT_EVIDENCE_TIMEOUT:
            arguments["evidence_timeout_s"] = 0.05

        def inject() -> dict[str, Any]:
            output: dict[str, Any] = getattr(faults, name)(**arguments)
            json.dumps(output)
            return output

        return script, inject

    return scripted


@pytest.fixture
def pool(run_dir: RunDir, request: pytest.FixtureRequest) -> Iterator[ScriptedPool]:
    """Two members; indirectly parametrised by what is to be missing."""
    missing = frozenset(getattr(request, "param", ()))
    with scripted_pool(run_dir, "p", TOPIC, missing) as made:
        yield made


def phases(run_dir: RunDir) -> list[str]:
    return [event["phase"] for event in lines_of(run_dir, "fault")]


def assert_let_go(script: Script) -> None:
    """What a fault held, it has let go by itself."""
    assert (script.paused, script.cut) == (set(), {})
    assert script.replicas["__transaction_state", 0] == (1, 2, 3)


def assert_whole(script: Script) -> None:
    assert_let_go(script)
    assert script.dead == set()
    assert script.leaders == {key: order[0] for key, order in script.replicas.items()}


# -- it took effect ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OF_BROKERS)
def test_a_fault_of_brokers_takes_effect_is_recorded_and_healed(
    name: str, strike: Strike, run_dir: RunDir
) -> None:
    script, inject = strike(name)
    output = inject()
    assert output["evidence"]["shortcomings"] == []
    assert output["took_effect"] is True
    assert output["evidence"]["nominal"] is FAULTS[name].nominal
    assert_let_go(script)
    faults.heal()
    assert_whole(script)
    if FAULTS[name].nominal:
        assert phases(run_dir) == []
        return
    assert phases(run_dir) == ["inject", "injected", "heal", "healed"]
    (recorded,) = read_timeline(lines_of(run_dir)).faults
    assert recorded.took_effect
    assert not recorded.idle
    assert recorded.evidence == output["evidence"]
    # The leader of the run's partitions, and whoever coordinates: found when it struck.
    if name in ("kill_follower", "kill_controller"):
        assert recorded.brokers == {1}
    elif "coordinator" not in name:
        assert LEADER in recorded.brokers
    elif name.startswith("kill"):
        assert recorded.brokers <= script_leaders(output)
    assert all(each.sentence and each.deed for each in recorded.seen.brokers)


def script_leaders(output: dict[str, Any]) -> set[int]:
    return {each["leader_before"] for each in output["evidence"]["partitions"]}


@pytest.mark.usefixtures("pool")
@pytest.mark.parametrize("name", OF_MEMBERS)
def test_a_fault_of_members_takes_effect_and_touches_no_broker(
    name: str, strike: Strike, run_dir: RunDir, pool: ScriptedPool
) -> None:
    script, inject = strike(name)
    output = inject()
    assert output["evidence"]["shortcomings"] == []
    assert output["took_effect"] is True
    assert script.done == []
    assert pool.stopped() == []
    faults.heal()
    assert phases(run_dir) == ["inject", "injected", "heal", "healed"]
    (recorded,) = read_timeline(lines_of(run_dir)).faults
    assert recorded.seen.members_alone
    assert not recorded.idle


def test_the_deeds_on_brokers_come_in_the_order_that_the_fault_says(strike: Strike) -> None:
    for name, done in (
        ("kill_leader", ["kill 2"]),
        (
            "stop_followers_then_kill_leader",
            ["pause 1", "pause 3", "kill 2", "resume 1", "resume 3"],
        ),
        ("cut_replication_then_kill_leader", ["cut 2", "kill 2", "restore 2"]),
        ("cut_responses", ["cut 2", "restore 2"]),
        ("pause_leader", ["pause 2", "resume 2"]),
        ("rolling_restart", ["restart 2", "restart 1", "restart 3"]),
        ("kill_follower", ["kill 1"]),
        ("kill_controller", ["kill 1"]),
        ("kill_zone", ["kill 2"]),
        ("kill_leader_in_container", ["kill 2"]),
        ("kill_leader_without_operator", ["stop operator 0", "kill 2"]),
        ("revoke_operator_then_kill_leader", ["revoke operator 0", "kill 2"]),
        ("kill_leader_then_operator", ["kill 2", "kill operator 0"]),
        ("roll_by_annotation", ["restart 1", "restart 2", "restart 3"]),
    ):
        script, inject = strike(name)
        inject()
        assert script.done == done


# -- it did not ----------------------------------------------------------------------------------

NEAR_MISSES = [
    ("kill_leader", "exit", "exit status 143, expected -9"),
    ("kill_leader", "election", "no other leader was seen"),
    ("stop_followers_then_kill_leader", "standstill", "state 'sleeping', expected 'stopped'"),
    ("stop_followers_then_kill_leader", "exit", "exit status 143, expected -9"),
    ("stop_followers_then_kill_leader", "election", "no other leader was seen"),
    ("cut_replication_then_kill_leader", "silence", "requests stay without an answer"),
    ("cut_replication_then_kill_leader", "answer", "did not answer past the link"),
    ("cut_replication_then_kill_leader", "exit", "exit status 143, expected -9"),
    ("cut_replication_then_kill_leader", "election", "no other leader was seen"),
    ("cut_responses", "silence", "requests stay without an answer"),
    ("cut_responses", "answer", "did not answer past the link"),
    ("pause_leader", "standstill", "state 'sleeping', expected 'stopped'"),
    ("pause_leader", "election", "no other leader was seen"),
    ("rolling_restart", "exit", "exit status 1, expected one of"),
    ("rolling_restart", "new process", "no new process took its place"),
    ("rolling_restart", "election", "no other leader was seen"),
    ("kill_transaction_coordinator", "exit", "exit status 143, expected -9"),
    ("kill_transaction_coordinator", "election", "no other leader was seen"),
    ("move_transaction_coordinator", "election", "no other leader was seen"),
    ("kill_group_coordinator", "exit", "exit status 143, expected -9"),
    ("kill_group_coordinator", "election", "no other leader was seen"),
    ("move_group_coordinator", "election", "no other leader was seen"),
    ("no_fault", "calm", "without a fault"),
    ("kill_follower", "exit", "exit status 143, expected -9"),
    ("kill_controller", "exit", "exit status 143, expected -9"),
    ("kill_controller", "controller", "no other controller was seen"),
    ("kill_zone", "exit", "exit status 143, expected -9"),
    ("kill_zone", "election", "no other leader was seen"),
    ("kill_leader_in_container", "election", "no other leader was seen"),
    ("kill_leader_without_operator", "operator", "operator-1 was not seen to end"),
    ("revoke_operator_then_kill_leader", "operator", "operator: it still may create pods"),
    ("revoke_operator_then_kill_leader", "exit", "exit status 143, expected -9"),
    ("kill_leader_then_operator", "operator", "operator-1 was not seen to end"),
    ("kill_leader_then_operator", "election", "no other leader was seen"),
    ("kill_leader_without_operator", "exit", "exit status 143, expected -9"),
    ("roll_by_annotation", "new process", "no new process took its place"),
    ("roll_by_change", "exit", "exit status 1, expected one of"),
    ("roll_by_change", "election", "no other leader was seen"),
]


def test_each_fault_of_brokers_has_a_near_miss() -> None:
    assert {name for name, _, _ in NEAR_MISSES} == set(OF_BROKERS)


@pytest.mark.parametrize(("name", "missing", "said"), NEAR_MISSES)
def test_a_fault_of_which_one_piece_of_evidence_is_missing_says_which(
    name: str, missing: str, said: str, strike: Strike, run_dir: RunDir
) -> None:
    script, inject = strike(name, missing)
    output = inject()
    assert output["took_effect"] is False
    shortcomings = output["evidence"]["shortcomings"]
    assert shortcomings
    assert all(said in each for each in shortcomings)
    assert_let_go(script)
    recorded = read_timeline(lines_of(run_dir)).faults
    assert [each.took_effect for each in recorded] == ([] if name == "no_fault" else [False])


def await_no_more_than(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a fault wait for all evidence but this: what the pool does takes its own time."""

    def await_evidence(injection: Injection, run_dir: RunDir, _timeout_s: float) -> None:
        def pending() -> str | None:
            members._look(injection, run_dir)
            return next((each for each in injection.missing() if said not in each), None)

        await_that(pending, "the rest of the evidence", timeout_s=60, poll_s=0.005)

    monkeypatch.setattr(members, "_await_evidence", await_evidence)


MEMBER_MISSES = [
    ("kill_member", "ended", "it ended by itself, status 1"),
    ("kill_member", "takeover", "no other member was assigned"),
    ("pause_member", "takeover", "no other member was assigned"),
    ("scale_members", "assigned", "it was assigned no partition"),
    ("rebalance_storm", "assigned", "it was assigned no partition"),
    ("rebalance_storm", "takeover", "no other member was assigned"),
    ("rebalance_storm", "ended", "it ended by itself, status 1"),
]


@pytest.mark.parametrize(
    ("name", "pool", "said"),
    [(name, (missing,), said) for name, missing, said in MEMBER_MISSES],
    indirect=["pool"],
)
def test_a_fault_of_members_of_which_one_piece_of_evidence_is_missing_says_which(
    name: str, pool: ScriptedPool, said: str, strike: Strike, monkeypatch: pytest.MonkeyPatch
) -> None:
    await_no_more_than(said, monkeypatch)
    _, inject = strike(name)
    output = inject()
    assert output["took_effect"] is False
    assert pool.stopped() == []


@pytest.mark.usefixtures("pool")
def test_a_member_that_was_not_seen_to_stand_still_was_not_paused(
    strike: Strike, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members, "state_when_stopped", lambda _: "sleeping")
    await_no_more_than("state 'sleeping'", monkeypatch)
    _, inject = strike("pause_member")
    assert "state 'sleeping'" in inject()["evidence"]["shortcomings"][0]


# -- interrupted ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "verb"),
    [
        ("kill_leader", "kill"),
        ("stop_followers_then_kill_leader", "pause"),
        ("stop_followers_then_kill_leader", "kill"),
        ("cut_replication_then_kill_leader", "cut"),
        ("cut_replication_then_kill_leader", "kill"),
        ("cut_responses", "cut"),
        ("pause_leader", "pause"),
        ("rolling_restart", "restart"),
        ("kill_transaction_coordinator", "kill"),
        ("move_transaction_coordinator", "reorder"),
        ("kill_group_coordinator", "kill"),
        ("move_group_coordinator", "reorder"),
    ],
)
def test_a_fault_that_is_interrupted_lets_go_what_it_held_and_is_healed(
    name: str, verb: str, strike: Strike, run_dir: RunDir
) -> None:
    script, inject = strike(name, interrupted_in=verb)
    with pytest.raises(SystemExit):
        inject()
    assert script.interrupted_in == ""
    assert_let_go(script)
    assert phases(run_dir) == ["inject", "failed"]
    (recorded,) = read_timeline(lines_of(run_dir)).faults
    assert (recorded.failure, recorded.took_effect) == ("interrupted", False)
    faults.heal()
    assert_whole(script)
    assert phases(run_dir) == ["inject", "failed", "heal", "healed"]


def test_every_paused_broker_goes_on_also_when_one_cannot_be_resumed(
    strike: Strike,
) -> None:
    script, inject = strike("stop_followers_then_kill_leader", interrupted_in="resume")
    with pytest.raises(SystemExit):
        inject()
    assert script.done[-2:] == ["resume 1", "resume 3"]
    assert_let_go(script)


@pytest.mark.usefixtures("pool")
def test_a_paused_member_goes_on_when_the_pause_is_interrupted(
    strike: Strike, monkeypatch: pytest.MonkeyPatch, pool: ScriptedPool
) -> None:
    def interrupt(*_: object) -> None:
        assert len(pool.stopped()) == 1
        raise SystemExit(20)

    monkeypatch.setattr(members, "_await_evidence", interrupt)
    _, inject = strike("pause_member")
    with pytest.raises(SystemExit):
        inject()
    assert pool.stopped() == []


# -- a fault of one's own -------------------------------------------------------------------------


def test_the_fault_of_one_function_that_the_page_shows_takes_effect(
    strike: Strike, run_dir: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "FAULTS", {})
    monkeypatch.setattr(decorator, "FAULTS", registry.FAULTS)

    page = (Path(__file__).parents[2] / "docs" / "faults.md").read_text(encoding="utf-8")
    begin = page.index('       @fault(PROCESS, role="first follower")')
    example = page[begin : page.index("\n\n", begin)]
    names = dict(vars(sys.modules["harness.faults.brokers"]))
    exec(textwrap.dedent(example), names)
    kill_first_follower = names["kill_first_follower"]

    script, _ = strike("kill_leader")
    output = kill_first_follower()
    assert registry.fault_named("kill_first_follower").description == (
        "SIGKILL a follower of the broker that leads most partitions"
    )
    assert list(inspect.signature(kill_first_follower).parameters) == ["configuration"]
    assert (output["fault"], output["took_effect"], script.done) == (
        "kill_first_follower", True, ["kill 1"],
    )  # fmt: skip
    assert phases(run_dir) == ["inject", "injected"]


# -- refused before anything is struck -----------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "hold_s", "said"),
    [
        ("stop_followers_then_kill_leader", 5.0, "replica.lag.time.max.ms is 5000"),
        ("cut_replication_then_kill_leader", 6.0, "replica.lag.time.max.ms is 5000"),
        ("pause_leader", 0.02, "broker.session.timeout.ms is 20"),
        ("pause_member", 0.02, "session.timeout.ms of p is 20"),
    ],
)
def test_a_hold_that_the_brokers_settings_do_not_allow_is_refused(
    name: str, hold_s: float, said: str, strike: Strike, run_dir: RunDir
) -> None:
    script, _ = strike(name)
    with pytest.raises(UsageError, match=said):
        getattr(faults, name)(hold_s=hold_s)
    assert script.done == []
    assert phases(run_dir) == ["failed"]
