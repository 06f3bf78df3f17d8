"""What tells that a session ended which sent no Stop (rule R5.2), and of which router, port and device it speaks."""

import pytest
from msgspec.structs import replace

from aaad.sessions.truth import Ending, Evidence, Lifetime, Restart, Router, find_ending

HERE = Router(1, "192.0.2.1", b"bng-1")
BESIDE = HERE._replace(nas_identifier=b"bng-2")
SESSION = Lifetime(b"a", 0, 7, "ana", HERE, 5, "pppoe1", "caller", "aa:bb:cc:dd:ee:ff", 100.0, 400.0, False)
NEWER = replace(SESSION, family=b"b", started_at_s=500.0, heard_at_s=500.0)
OF_ANOTHER_DEVICE = replace(NEWER, mac="aa:bb:cc:00:00:01", calling_station_id="other")


@pytest.mark.parametrize(
    ("restart", "ends"),
    [
        (Restart(HERE, "", 500.0), True),
        (Restart(HERE, "pppoe1", 500.0), True),
        (Restart(HERE, "pppoe2", 500.0), False),
        (Restart(BESIDE, "", 500.0), False),
        (Restart(HERE, "", 400.0), True),
        (Restart(HERE, "", 399.0), False),
        (Restart(HERE, "", 100.0), False),
    ],
)
def test_r5_2_a_restart_ends_what_began_before_it_and_was_not_heard_after(restart: Restart, ends: bool) -> None:
    assert find_ending(SESSION, [], [restart]) == (Ending(Evidence.NAS_RESTART, restart.at_s) if ends else None)


def test_r5_2_what_begins_with_a_restart_goes_on() -> None:
    fresh = replace(SESSION, heard_at_s=100.0)
    assert find_ending(fresh, [], [Restart(HERE, "", 100.0)]) is None


@pytest.mark.parametrize(
    ("other", "evidence"),
    [
        (NEWER, Evidence.REPLACED),
        (replace(NEWER, nas_port=9), Evidence.REPLACED),
        (replace(NEWER, router=BESIDE), Evidence.REPLACED),
        (OF_ANOTHER_DEVICE, Evidence.REPLACED),
        (replace(OF_ANOTHER_DEVICE, nas_port=9), None),
        (replace(OF_ANOTHER_DEVICE, router=BESIDE), None),
        (replace(NEWER, login_id=8), None),
        (replace(NEWER, started_at_s=399.0), None),
        (replace(NEWER, family=b"a", life=1), Evidence.ID_REUSED),
        (replace(NEWER, family=b"a", life=1, router=BESIDE, mac=None, nas_port=9), None),
    ],
)
def test_what_a_newer_session_tells_of_an_older_one(other: Lifetime, evidence: Evidence | None) -> None:
    assert find_ending(SESSION, [other], []) == (Ending(evidence, other.started_at_s) if evidence else None)


def test_of_two_without_a_port_only_the_device_counts() -> None:
    portless = replace(SESSION, nas_port=0)
    assert find_ending(portless, [replace(OF_ANOTHER_DEVICE, nas_port=0)], []) is None


def test_the_earliest_evidence_counts_and_what_was_kept_until_it_is_heard_later() -> None:
    restart = Restart(HERE, "", 450.0)
    assert find_ending(SESSION, [NEWER], [restart]) == Ending(Evidence.NAS_RESTART, 450.0)
    assert find_ending(SESSION, [NEWER], [restart._replace(at_s=500.0)]) == Ending(Evidence.NAS_RESTART, 500.0)
    assert find_ending(SESSION, [], [], Ending(Evidence.LOST, 400.0)) == Ending(Evidence.LOST, 400.0)
    assert find_ending(SESSION, [], [], Ending(Evidence.LOST, 399.0)) is None
