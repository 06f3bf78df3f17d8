"""R5.4: which sessions are the same device's, and which devices push each other out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaad.sessions.devices import Contest, Dialler, Lived, OpenSession, find_contest, is_same_device, of_other_devices

ROUTER = (1, "192.0.2.1", b"pop")
SESSION = OpenSession((b"f", 0), ROUTER, "81a00001", "ana", 0xA1, "02:00:00:00:00:A1", "ether1")
DIALLER = Dialler(ROUTER, "81a00002", 0xA1, "02:00:00:00:00:A1", "ether1")
NO_MAC = SESSION._replace(mac=0, calling_station_id="198.51.100.7")
FROM_THERE = DIALLER._replace(mac=0, calling_station_id="198.51.100.7")

SAME = {
    "redials": (SESSION, DIALLER),
    "redials after a power cut of its NAS, with ids from the first one on": (
        SESSION,
        DIALLER._replace(session_id="82a00001"),
    ),
    "asks once more for the same session, by other words": (
        SESSION,
        DIALLER._replace(session_id="81a00001", mac=0, port_id="", calling_station_id=""),
    ),
    "writes its address in another way": (SESSION, DIALLER._replace(calling_station_id="0200-0000-00a1")),
    "a tunnel's from the same address": (NO_MAC, FROM_THERE),
    "on a router that names no port": (SESSION._replace(port_id=""), DIALLER._replace(port_id="")),
}
OTHER = {
    "another device": (SESSION, DIALLER._replace(mac=0xB2)),
    "the same MAC on another port": (SESSION, DIALLER._replace(port_id="ether2")),
    "the same MAC on another router of the entry": (SESSION, DIALLER._replace(router=(1, "192.0.2.1", b"other"))),
    "the same MAC at another entry": (SESSION, DIALLER._replace(router=(2, "192.0.2.1", b"pop"))),
    "the same id on another router": (
        SESSION,
        DIALLER._replace(session_id="81a00001", router=(1, "192.0.2.2", b"pop")),
    ),
    "who tells nothing": (SESSION, DIALLER._replace(mac=0, calling_station_id="")),
    "neither tells anything": (NO_MAC._replace(calling_station_id=""), FROM_THERE._replace(calling_station_id="")),
    "a tunnel's from elsewhere": (NO_MAC, FROM_THERE._replace(calling_station_id="198.51.100.8")),
    "no id is no id": (SESSION._replace(session_id=""), DIALLER._replace(session_id="", mac=0xB2)),
}


@pytest.mark.parametrize(("session", "dialler"), SAME.values(), ids=SAME.keys())
def test_r5_4_the_same_device(session: OpenSession, dialler: Dialler) -> None:
    assert is_same_device(session, dialler)
    assert of_other_devices([session], dialler) == []


@pytest.mark.parametrize(("session", "dialler"), OTHER.values(), ids=OTHER.keys())
def test_r5_4_another_device(session: OpenSession, dialler: Dialler) -> None:
    assert not is_same_device(session, dialler)
    assert of_other_devices([session], dialler) == [session]


# --- devices that push each other out -------------------------------------------------------------------------------

NOW_S = 1_800_000_000.0
A, B, C = 0xA, 0xB, 0xC


def fight(*macs: int, every_s: float = 60.0, ends_s: float = 1.0, last_s: float = NOW_S - 1) -> list[Lived]:
    """Sessions one after the other, the last of them just now; each ends so long after the next begins."""
    begins = [last_s - (len(macs) - 1 - number) * every_s for number in range(len(macs))]
    return [
        Lived(
            (b"%d" % number, 0),
            mac,
            1,
            begins[number],
            None if mac == macs[-1] and number == len(macs) - 1 else begins[number] + every_s + ends_s,
        )
        for number, mac in enumerate(macs)
    ]


def test_r5_4_five_replacements_in_ten_minutes_are_a_fight_and_four_are_none() -> None:
    assert find_contest(fight(A, B, A, B, A), 1, NOW_S) is None
    assert find_contest(fight(A, B, A, B, A, B), 1, NOW_S) == Contest(A, 1, B, 5, NOW_S - 1)
    assert find_contest(fight(B, A, B, A, B, A), 1, NOW_S) == Contest(B, 1, A, 5, NOW_S - 1)


def test_r5_4_the_older_of_three_devices_is_kept() -> None:
    assert find_contest(fight(C, A, B, A, B, A, B), 1, NOW_S) == Contest(C, 1, B, 6, NOW_S - 1)


def test_r5_4_what_is_longer_ago_counts_no_more() -> None:
    sessions = fight(A, B, A, B, A, B, last_s=NOW_S - 400)
    assert find_contest(sessions, 1, NOW_S) is None
    assert find_contest(sessions, 1, NOW_S - 400) is not None


def test_r5_4_a_nas_that_ends_the_older_session_itself() -> None:
    assert find_contest(fight(A, B, A, B, A, B, ends_s=-1.0), 1, NOW_S) is not None


def test_r5_4_devices_that_take_turns_do_not_fight() -> None:
    assert find_contest(fight(A, B, A, B, A, B, A, B, ends_s=-30.0), 1, NOW_S) is None


def test_r5_4_a_bad_line_beside_another_device_is_no_fight() -> None:
    stays = Lived((b"a", 0), A, 1, NOW_S - 86_400, None)
    assert find_contest([stays, *fight(B, B, B, B, B, B, B, B)], 1, NOW_S) is None


def test_r5_4_one_device_at_two_concentrators_is_not_kept_out_by_itself() -> None:
    sessions = [each._replace(nas_id=number % 2) for number, each in enumerate(fight(A, A, A, A, A, A, A, A))]
    assert find_contest(sessions, 1, NOW_S) is None


def test_r5_4_as_many_as_are_allowed_do_not_fight() -> None:
    assert find_contest(fight(A, B, A, B, A, B, A, B), 2, NOW_S) is None
    # Each lives for two more begins: with C there are always two others.
    sessions = fight(A, B, C, A, B, C, A, B, C, every_s=50.0, ends_s=60.0)
    found = find_contest(sessions, 2, NOW_S)
    assert found is not None
    assert (found.mac, found.replacements) == (A, 7)


def test_devices_that_cannot_be_told_apart_do_not_fight() -> None:
    assert find_contest(fight(A, 0, A, 0, A, 0, A, 0), 1, NOW_S) is None


@given(st.data())
def test_r5_4_the_order_in_which_they_are_told_does_not_matter(data: st.DataObject) -> None:
    macs = data.draw(st.lists(st.sampled_from([0, A, B, C]), max_size=14))
    allowed = data.draw(st.integers(1, 3))
    sessions = [
        Lived(
            (b"%d" % number, 0),
            mac,
            data.draw(st.integers(1, 2)),
            begin := NOW_S - data.draw(st.sampled_from([0.0, 1.0, 60.0, 61.0, 300.0, 599.0, 600.0, 700.0])),
            data.draw(st.sampled_from([None, begin, begin + 6.0, begin + 90.0])),
        )
        for number, mac in enumerate(macs)
    ]
    expected = find_contest(sessions, allowed, NOW_S)
    assert find_contest(data.draw(st.permutations(sessions)), allowed, NOW_S) == expected
    if expected is not None:
        assert expected.mac != expected.other_mac
        assert expected.replacements > 4
