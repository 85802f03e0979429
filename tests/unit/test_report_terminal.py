"""The verdict on a terminal and in a pipe, and the sentences that both reports share."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from harness.profiles import load_builtin
from harness.report.terminal import plain_columns, print_verdict
from harness.report.wording import assurance, headline, tally
from harness.rundir.verdict import (
    BROKEN,
    INCONCLUSIVE,
    KEPT,
    NOT_APPLICABLE,
    FailureVerdict,
    LoadVerdict,
    Verdict,
    Witness,
    worst,
)
from harness.rundir.verdict_file import read_verdict
from tests.support.made_up_run import CONSUMERS, FOUND, PRODUCERS, make_verdict

SAMPLE = Path(__file__).parents[2] / "reports" / "sample" / "verdict.json"
ALL = list(FOUND)[: -len(CONSUMERS)]


@pytest.fixture(autouse=True)
def _columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables with all their columns where a test does not say how wide they may be."""
    monkeypatch.setenv("COLUMNS", "100")


def made(verdict: str = KEPT, names: list[str] | None = None) -> Verdict:
    return make_verdict([load_builtin()[name] for name in names or ALL], verdict)


def piped(verdict: Verdict, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    print_verdict(verdict, Console(file=stream))
    stream.flush()
    return raw.getvalue().decode(encoding)


def on_terminal(verdict: Verdict, width: int) -> str:
    stream = io.StringIO()
    print_verdict(verdict, Console(file=stream, force_terminal=True, width=width, _environ={}))
    return stream.getvalue()


def row(text: str, profile: str) -> list[str]:
    return next(line.split() for line in text.splitlines() if line.split()[:1] == [profile])


@pytest.mark.parametrize("verdict", [KEPT, BROKEN, INCONCLUSIVE])
def test_a_piped_verdict_fits_100_columns_and_ends_no_line_in_blanks(verdict: str) -> None:
    for line in piped(made(verdict)).splitlines():
        assert len(line) <= 100
        assert line == line.rstrip()


def test_a_piped_verdict_holds_no_control_sequence() -> None:
    assert "\x1b" not in piped(made(BROKEN))


def test_millions_of_records_still_fit() -> None:
    verdict = made()
    for profile in verdict.profiles:
        profile.counts = {
            name: count * 300 for name, count in profile.counts.items()
        }  # fmt: skip
    text = piped(verdict)
    assert row(text, "idempotent")[1] == "13,196,400"
    assert "no room for: " in text
    assert all(len(line) <= 100 for line in text.splitlines())


def test_nothing_is_cut_short_in_a_pipe() -> None:
    text = piped(made())
    assert "…" not in text
    for name in ALL:
        assert row(text, name)


def test_counts_say_whether_they_break_a_promise() -> None:
    text = piped(made(BROKEN))
    assert row(text, "leader-ack")[4:7] == ["1,503*", "88*", "140*"]
    assert row(text, "idempotent")[4:7] == ["0", "2!", "0"]
    assert "! breaks a promise" in text
    assert "* permitted" in text


def test_consumers_have_a_table_of_their_own() -> None:
    text = piped(made(names=[*PRODUCERS, *CONSUMERS]))
    table = text[text.index("consumers of") :]
    assert row(table, "consume-at-most-once")[-3:] == ["412*", "0", "0"]
    assert row(table, "consume-at-least-once")[-3:] == ["2!", "388*", "0"]
    assert "3 of 5" in table
    assert "consumers of" not in piped(made(names=list(PRODUCERS)))


def test_a_table_of_consumers_with_millions_of_records_fits() -> None:
    verdict = made(names=list(CONSUMERS))
    for profile in verdict.profiles:
        assert profile.consume is not None
        profile.profile = "pipeline-without-offsets"
        profile.consume = replace(
            profile.consume, records=99_999_999, processed=99_999_999, members=40, died=38
        )
        profile.counts = {name: count * 300 for name, count in profile.counts.items()}
    text = piped(verdict)
    assert all(len(line) <= 100 for line in text.splitlines())
    assert "…" not in text
    assert "99,999,999" in text


@pytest.mark.parametrize("times", [1, 300])
def test_a_verdict_beside_a_long_name_is_not_cut(times: int) -> None:
    verdict = made(INCONCLUSIVE)
    for profile in verdict.profiles:
        profile.profile = "pipeline-without-offsets"
        profile.verdict = INCONCLUSIVE
        profile.counts = {name: count * times for name, count in profile.counts.items()}
    text = piped(verdict)
    assert "inconclusive" in text[: text.index("* permitted")]
    assert all(len(line) <= 100 for line in text.splitlines())


def test_sent_is_not_passed_off_as_acknowledged() -> None:
    text = piped(made())
    assert row(text, "fire-and-forget")[2] == "43,988^"
    assert "^ sent: with acks=0 no broker acknowledges" in text


def test_what_was_not_seen_is_marked_as_neither_lost_nor_found() -> None:
    verdict = made(INCONCLUSIVE)
    verdict.profiles[3].counts["unseen"] = 7
    text = piped(verdict)
    assert row(text, "idempotent")[7] == "7?"
    assert "other: fire-and-forget 12 gap, idempotent 7 unseen" in text


def test_every_reason_is_given_up_to_a_dozen() -> None:
    verdict = replace(made(), reasons=[f"reason {n}" for n in range(15)])
    text = piped(verdict)
    assert "- reason 11" in text
    assert "reason 12" not in text
    assert "- and 3 more in the report" in text


def test_a_terminal_that_knows_ascii_only_gets_ascii() -> None:
    text = piped(made(), encoding="ascii")
    assert row(text, "|")[1] == "profile"
    assert "?" not in text.splitlines()[1]


@pytest.mark.parametrize("width", [60, 100, 200])
def test_a_terminal_is_never_written_beyond_its_width_or_100_columns(width: int) -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, color_system=None, width=width)
    print_verdict(made(), console)
    assert max(len(line) for line in stream.getvalue().splitlines()) <= min(width, 100)
    assert console.width == width


def test_colour_comes_on_a_terminal_beside_the_words() -> None:
    assert "\x1b[" in on_terminal(made(BROKEN), 100)


def test_the_rate_sent_stands_beside_the_rate_asked_for_and_failures_have_their_reasons() -> None:
    verdict = made(names=["leader-ack", "idempotent"])
    full = FailureVerdict("failed", "_QUEUE_FULL", "the queue was full", 76_170, None, None)
    meant = FailureVerdict("failed", "aborted", "on purpose", 9, None, None)
    first, second = verdict.profiles
    first.load = LoadVerdict(5_000, 4_996.4, 150_000, 0, [meant])
    second.load = LoadVerdict(5_000, 1_350.0, 200_000, 146_000, [full])
    text = piped(verdict)
    assert "load: 5,000 records/s a profile asked for, 1,350 to 4,996 sent" in text
    assert "planned and never sent: idempotent 146,000 (73\N{NO-BREAK SPACE}%)" in text
    assert "not acknowledged: idempotent 76,170 failed (_QUEUE_FULL)" in text
    assert "aborted" not in text


def test_what_does_not_apply_is_not_green_and_the_headline_says_that_nothing_was_judged() -> None:
    verdict = replace(made(names=["idempotent"]), verdict=INCONCLUSIVE)
    profile = verdict.profiles[0]
    profile.promises = [replace(each, verdict=NOT_APPLICABLE) for each in profile.promises]
    profile.verdict = NOT_APPLICABLE
    colored = Console(file=io.StringIO(), force_terminal=True, width=100, color_system="standard")
    print_verdict(verdict, colored)
    text = colored.file.getvalue()  # type: ignore[attr-defined]
    assert "not applicable" in text
    assert "32m" not in text, "green"
    assert "Inconclusive: nothing was judged" in text


def test_the_json_document_prints_like_the_verdict_itself() -> None:
    stream = io.StringIO()
    print_verdict(made(BROKEN).to_json(), Console(file=stream))
    assert stream.getvalue() == piped(made(BROKEN))


# ------------------------------------------------------------------------------------ sentences


def test_a_broken_verdict_names_who_broke_what() -> None:
    assert headline(made(BROKEN)) == "Broken: idempotent broke no_duplicate."


def test_a_profile_that_does_not_count_is_not_in_the_headline() -> None:
    assert headline(made(KEPT)) == "Kept: 40 promises of 5 profiles held under 2 faults."


def test_a_run_without_faults_says_so() -> None:
    verdict = replace(made(), faults=[])
    assert headline(verdict) == "Kept: 40 promises of 5 profiles held with no fault on record."


def test_the_bound_and_the_faults_needed_for_a_better_one_are_told() -> None:
    told = " ".join(assurance(made()))
    assert "leader-ack showed 1,503 lost and at-least-once showed 63 duplicate" in told
    assert "at most 77.6\N{NO-BREAK SPACE}%" in told
    assert "29 faults without a breach would bring that down to 10\N{NO-BREAK SPACE}%" in told
    assert "35 promises held without being put to the test" in told
    assert "harness list experiments says which ones do." in told


def test_a_promise_that_was_not_challenged_does_not_count_as_held_in_faults() -> None:
    told = " ".join(assurance(made(INCONCLUSIVE)))
    assert "no_lost held for" in told
    assert "no_duplicate" not in told


def test_a_run_that_proved_nothing_says_so() -> None:
    verdict = made(names=["unsafe-topic"])
    assert assurance(verdict) == [
        "Nothing of this run shows that it could have seen a promise break: run an experiment that "
        "names a control (harness list experiments)."
    ]


@pytest.mark.parametrize(
    ("verdicts", "says"),
    [
        ([KEPT, KEPT], "kept 2 of 2"),
        ([KEPT, BROKEN, INCONCLUSIVE], "broken 1 of 3"),
        ([KEPT, INCONCLUSIVE], "inconclusive 1 of 2"),
        ([NOT_APPLICABLE, KEPT], "kept 1 of 1"),
        ([NOT_APPLICABLE], "not applicable"),
        ([], "promises nothing"),
    ],
)
def test_a_profile_says_how_many_of_its_promises_its_verdict_is_about(
    verdicts: list[str], says: str
) -> None:
    profile = made(names=["idempotent"]).profiles[0]
    promises = [replace(profile.promises[0], verdict=verdict) for verdict in verdicts]
    assert tally(replace(profile, promises=promises, verdict=worst(verdicts))) == says


@pytest.mark.parametrize("width", [60, 70, 80, 90, 100])
def test_a_kept_verdict_takes_one_line_in_the_sample_run(width: int) -> None:
    shown = plain(read_verdict(SAMPLE), width).replace("\N{NO-BREAK SPACE}", " ")
    assert [line for line in shown.splitlines() if "kept 14 of 14" in line], shown


@pytest.mark.parametrize("width", [60, 70, 80, 90, 100])
@pytest.mark.parametrize("verdict", [KEPT, BROKEN, INCONCLUSIVE])
@pytest.mark.parametrize("times", [1, 300])
def test_a_narrow_terminal_still_shows_profile_lost_duplicate_and_verdict(
    width: int, verdict: str, times: int
) -> None:
    shown = made(verdict)
    for profile in shown.profiles:
        profile.verdict = INCONCLUSIVE if verdict == INCONCLUSIVE else profile.verdict
        profile.counts = {name: count * times for name, count in profile.counts.items()}
    lines = plain(shown, width).splitlines()
    notes = next(i for i, line in enumerate(lines) if line.startswith((" !", " *", " ?")))
    table = "\n".join(lines[:notes])
    assert max(map(len, lines)) <= width
    assert "…" not in table
    header = lines[1].split()
    assert [name for name in ("profile", "lost", "duplicate", "verdict") if name in header] == [
        "profile", "lost", "duplicate", "verdict",
    ]  # fmt: skip
    for profile in shown.profiles:
        cells = row(table, profile.profile)
        lost = f"{profile.counts['lost']:,}"
        assert cells[header.index("lost")].rstrip("!?*~") == lost
        assert profile.verdict in cells or not profile.promises


def plain(verdict: Verdict, width: int) -> str:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, color_system=None, width=width)
    print_verdict(verdict, console)
    return stream.getvalue()


def test_what_has_no_room_is_named_and_what_breaks_a_promise_goes_last() -> None:
    verdict = made()
    verdict.profiles[3].counts["inversion"] = 5
    broken = next(p for p in verdict.profiles[3].promises if p.promise == "no_inversion")
    verdict.profiles[3].promises = [
        replace(each, verdict=BROKEN) if each is broken else each
        for each in verdict.profiles[3].promises
    ]
    text = plain(verdict, 66)
    assert "5!" in text
    assert "no room for: " in text
    assert "attempted" in text[text.index("no room for") :]


@pytest.mark.parametrize(
    ("on", "mark", "says"),
    [
        (BROKEN, "!", "! breaks a promise"),
        (INCONCLUSIVE, "?", "? not decided"),
        (NOT_APPLICABLE, "~", "~ the promise is not applicable here"),
        (KEPT, "", ""),
    ],
)
def test_only_what_a_profile_does_not_promise_is_called_permitted(
    on: str, mark: str, says: str
) -> None:
    verdict = made(names=["idempotent"])
    profile = verdict.profiles[0]
    profile.counts["duplicate"] = 77
    profile.promises = [
        replace(each, verdict=on) if each.promise == "no_duplicate" else each
        for each in profile.promises
    ]
    text = piped(verdict)
    assert f"77{mark} " in text
    assert says in text
    assert "permitted" not in text


def test_a_story_is_wrapped_to_the_width_of_the_terminal_below_its_text() -> None:
    verdict = made(BROKEN)
    long = "              " + "word " * 40
    witness = Witness("lost", "t", 0, 1, 1, 1, ["lost: record 1", long], [], None)
    verdict.profiles[0].witnesses = [witness]
    lines = [line for line in plain(verdict, 80).splitlines() if "word" in line]
    assert len(lines) > 1
    assert all(line.startswith(" " * 17 + "word") for line in lines)


@pytest.mark.parametrize(
    ("said", "columns"),
    [(None, 80), ("", 80), ("60", 60), ("72", 72), ("100", 100), ("300", 100), ("5", 40),
     ("0", 80), ("-3", 80), ("wide", 80), ("\N{SUPERSCRIPT TWO}", 80), ("9" * 5000, 100)],
)  # fmt: skip
def test_without_a_terminal_columns_says_how_wide_and_80_are_taken(
    said: str | None, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if said is None:
        monkeypatch.delenv("COLUMNS")
    else:
        monkeypatch.setenv("COLUMNS", said)
    assert plain_columns() == columns
    if said is not None and (not said.isascii() or len(said) > 9):
        return  # rich cannot take these; `prepare` leaves none of them in the environment
    verdict = made(BROKEN)
    verdict.reasons.append("a reason that goes on " + "and on " * 40)
    lines = piped(verdict).splitlines()
    assert max(map(len, lines)) <= max(columns, 60)
    assert max(map(len, lines)) > columns - 12, "the width is used"
    assert all(line == line.rstrip() for line in lines)
