"""The `consume:` part of a profile: what is read, what is refused, and what the lint says of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.profiles import lint, load_builtin, load_profiles
from harness.profiles.model import ConsumePlan, DeliveryProfile


def loaded(tmp_path: Path, text: str) -> DeliveryProfile:
    path = tmp_path / "own.yaml"
    path.write_text(f"profiles:\n  own:\n{text}")
    return load_profiles([path])["own"]


def test_a_plan_is_inherited_field_by_field(tmp_path: Path) -> None:
    profile = loaded(
        tmp_path,
        "    extends: consume-at-least-once\n    consume: {members: 5, processing_ms: 0.5}\n",
    )
    assert profile.consume == ConsumePlan("commit-after", "consumer", 5, 0.5)


@pytest.mark.parametrize(
    ("consume", "field"),
    [
        ("{mode: sometimes}", "consume.mode"),
        ("{mode: commit-after, protocol: new}", "consume.protocol"),
        ("{mode: commit-after, members: 0}", "consume.members"),
        ("{mode: commit-after, members: true}", "consume.members"),
        ("{mode: commit-after, members: 65}", "consume.members"),
        ("{mode: commit-after, processing_ms: -1}", "consume.processing_ms"),
        ("{mode: commit-after, processing_ms: soon}", "consume.processing_ms"),
        ("{mode: transactional, send_offsets: 1}", "consume.send_offsets"),
        ("{mode: commit-after, send_offsets: false}", "consume"),
        ("{members: 2}", "consume.mode"),
        ("{mode: commit-after, member: 2}", "consume.member"),
        ("commit-after", "consume"),
        ("{mode: transactional}", "consume"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_with_file_line_and_field(
    tmp_path: Path, consume: str, field: str
) -> None:
    with pytest.raises(UsageError, match=rf"own\.yaml:\d+: own\.{field}: "):
        loaded(tmp_path, f"    extends: idempotent\n    consume: {consume}\n")


def test_a_pipeline_without_transactions_or_without_output_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="topics: 2"):
        loaded(tmp_path, "    extends: exactly-once-pipeline\n    topics: 1\n")
    with pytest.raises(UsageError, match=r"transactional\.id"):
        loaded(
            tmp_path,
            "    extends: idempotent\n    topics: 2\n    consume: {mode: transactional}\n",
        )


def rules(profile: DeliveryProfile) -> set[str]:
    found = lint(profile, brokers=3, bootstrap="127.0.0.1:9")
    return {finding.rule for finding in found if finding.severity == "error"}


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("consume-at-most-once", {"enable.auto.commit": True}),
        ("consume-at-least-once", {"enable.auto.commit": True}),
        ("consume-auto-commit", {"enable.auto.offset.store": False}),
        ("consume-stored-offsets", {"enable.auto.offset.store": True}),
        ("consume-stored-offsets", {"enable.auto.commit": False}),
        ("exactly-once-pipeline", {"enable.auto.commit": True}),
    ],
)
def test_settings_that_commit_at_other_moments_than_the_mode_says_are_an_error(
    name: str, settings: dict[str, bool]
) -> None:
    profile = load_builtin()[name]
    assert rules(profile) == set()
    assert "mode-contradicts-settings" in rules(profile.override(consumer=settings))


@pytest.mark.parametrize(
    ("name", "promise", "right"),
    [
        ("consume-at-most-once", "no_unprocessed", False),
        ("consume-at-most-once", "no_repeated", True),
        ("consume-at-least-once", "no_unprocessed", True),
        ("consume-at-least-once", "no_repeated", False),
        ("consume-auto-commit", "no_unprocessed", False),
        ("consume-stored-offsets", "no_repeated", False),
        ("exactly-once-pipeline", "no_repeated", True),
        ("pipeline-without-offsets", "no_unprocessed", False),
        ("pipeline-without-offsets", "no_repeated", False),
        ("share-group", "no_repeated", False),
        ("share-group", "no_unprocessed", True),
        ("idempotent", "no_poll_skip", False),
    ],
)
def test_a_promise_that_the_mode_cannot_keep_is_an_error(
    name: str, promise: str, right: bool
) -> None:
    profile = load_builtin()[name]
    asked = replace(profile, promises=(*profile.promises, promise))
    assert ("consume-promise-beyond-mode" not in rules(asked)) is right
