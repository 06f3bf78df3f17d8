"""The tests' own fold, before it judges the server's: what it takes for right, and that it finds what is wrong."""

import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "e2e"))

from session_reference import Row, errors, event, fold, restart_errors

BEGAN_S = 1_700_000_000.25


def told(status: str, age_s: float, *, acknowledged: bool = True, session: int = 1, **more: object) -> dict:
    at_s = BEGAN_S + age_s
    return {
        "status": status,
        "acknowledged": acknowledged,
        "nas": "bng",
        "at_s": at_s,
        "event_timestamp": int(at_s),
        "last_sent_at_s": at_s,
        "session": session,
        "acct_session_id": "81a00001",
        "user_name": "ana",
        "session_time_s": int(age_s),
        "octets_in": 0 if status == "start" else int(age_s * 10) + session,
        "octets_out": 0 if status == "start" else int(age_s * 2e9),
        "cause": 1 if status == "stop" else None,
        "address": "100.64.0.1",
        **more,
    }


LIFE = [told("start", 0), told("interim", 60.2), told("interim", 120.4), told("stop", 150.5)]


def row_of(log: list[dict], **changes: object) -> Row:
    """The row that a right server makes of these records; written apart from the fold that is tested."""
    stop = next((one for one in log if one["status"] == "stop"), None)
    start = next((one for one in log if one["status"] == "start"), None)
    last = max(log, key=lambda one: one["at_s"])
    least = min(int(one["at_s"]) - one["session_time_s"] for one in log)
    row = Row(
        user_name="ana",
        acct_session_id="81a00001",
        nas_identifier="bng",
        records=len(log),
        session_time_s=last["session_time_s"],
        octets_in=max(one["octets_in"] or 0 for one in log),
        octets_out=max(one["octets_out"] or 0 for one in log),
        start_seen=start is not None,
        started_at=float(int(start["at_s"])) if start else float(least),
        heard_at=float(int(last["at_s"])),
        ended_at=float(int(stop["at_s"])) if stop else None,
        end_evidence="stop" if stop else None,
        terminate_cause=1 if stop else None,
        address="100.64.0.1",
    )
    return row._replace(**changes)


def test_a_right_row_is_right_whatever_the_order_and_repetition() -> None:
    dice = random.Random(7)
    for _ in range(20):
        log = [*LIFE, *dice.choices(LIFE, k=2)]
        dice.shuffle(log)
        assert errors([row_of(LIFE)], log) == []
    assert fold(LIFE).octets_out == 301_000_000_000


@pytest.mark.parametrize(
    "changes",
    [
        {"records": 3},
        {"records": 5},
        {"octets_in": 1506 + 1},
        {"octets_out": 301_000_000_000 - 2**32},
        {"session_time_s": 120},
        {"start_seen": False},
        {"started_at": BEGAN_S + 2},
        {"heard_at": BEGAN_S + 120},
        {"ended_at": BEGAN_S + 149},
        {"end_evidence": "replaced"},
        {"end_evidence": None, "ended_at": None},
        {"terminate_cause": 2},
        {"address": None},
        {"acct_session_id": "81a00002"},
        {"nas_identifier": "other"},
    ],
)
def test_each_kind_of_error_is_found(changes: dict[str, object]) -> None:
    assert errors([row_of(LIFE, **changes)], LIFE) != []


def test_a_session_without_a_row_and_one_with_two_are_found() -> None:
    assert errors([], LIFE) == ["no row for ana 81a00001 of bng"]
    assert any("twice" in error for error in errors([row_of(LIFE), row_of(LIFE)], LIFE))


def test_what_was_not_acknowledged_may_be_there_or_not() -> None:
    log = [LIFE[0], told("interim", 60.2, acknowledged=False), LIFE[2], told("stop", 150.5, acknowledged=False)]
    for known in ([0, 2], [0, 1, 2], [0, 2, 3], [0, 1, 2, 3]):
        assert errors([row_of([log[index] for index in known])], log) == []
    for unknown in ([0, 1], [2], [0, 3]):
        assert errors([row_of([log[index] for index in unknown])], log) != []
    nothing = [{**one, "acknowledged": False} for one in LIFE]
    assert errors([], nothing) == []
    assert errors([row_of(LIFE[:1])], nothing) == []


def test_two_sessions_of_one_acct_session_id_are_told_apart() -> None:
    other = [
        told("start", 500, session=2, session_time_s=0),
        told("stop", 530, session=2, session_time_s=30, octets_in=302, octets_out=7),
    ]
    first, second = row_of(LIFE), row_of(other)
    assert errors([first, second], LIFE + other) == []
    assert len(errors([first], LIFE + other)) == 1
    assert errors([row_of([*LIFE, *other])], LIFE + other) != [], "two lives in one row"


def test_instants_of_wrong_clocks_lie_between_event_and_arrival() -> None:
    wrong = [{**one, "event_timestamp": 90_000 + one["session_time_s"]} for one in LIFE]
    assert event(wrong[0]).least == wrong[0]["at_s"]
    for late_s, is_right in ((0, True), (1.0, True), (-1, False), (5, False)):
        row = row_of(LIFE, started_at=BEGAN_S + late_s, heard_at=BEGAN_S + 150.5, ended_at=BEGAN_S + 150.5)
        assert (errors([row], wrong) == []) == is_right, late_s


def test_without_its_start_the_others_tell_when_it_began() -> None:
    assert errors([row_of(LIFE[1:])], LIFE[1:]) == []
    assert errors([row_of(LIFE[1:], started_at=BEGAN_S + 60)], LIFE[1:]) != []


def test_what_is_open_after_a_restart_is_found() -> None:
    on = {"status": "on", "nas": "bng", "acknowledged": True, "at_s": BEGAN_S + 400, "last_sent_at_s": 0}
    on["event_timestamp"] = int(on["at_s"])
    row = row_of(LIFE[:3])
    assert restart_errors([row], [*LIFE[:3], on]) == ["ana 81a00001 of bng is open after a restart"]
    assert restart_errors([row._replace(ended_at=1.0)], [on]) == []
    assert restart_errors([row], [{**on, "acknowledged": False}]) == []
