"""What a router's lists say of one session."""

import pytest

from aaad.mikrotik.applied import Active, ActiveKind, Entry, SessionRate
from aaad.orders.cascade import Kind, Said
from aaad.orders.judge import ADDRESS, LIST, LIST_IPV6, RATE, Subject, Wants, judge, seen_of

ANA = Subject(Kind.CHANGE, True, "ana", "81a00001", "100.64.0.1", ("2001:db8:1::/64",), 600.0, ((RATE, "1M/2M"),))
GO = ANA._replace(kind=Kind.DISCONNECT, wanted=())
GUEST = ANA._replace(is_ppp=False, session_id="80a00001")


def active(name="ana", session_id="81a00001", address="100.64.0.1", kind=ActiveKind.PPP, uptime_s=900) -> Active:
    return Active("*1", kind, name, session_id, address, "", uptime_s, True)


def guest(**words) -> Active:
    return active(**({"session_id": "", "kind": ActiveKind.HOTSPOT} | words))


def rate(max_limit="1000000/2000000", name="ana", target="100.64.0.1") -> SessionRate:
    return SessionRate(name, f"<pppoe-{name}>", target, max_limit, "", "", "", "", "", False)


def entry(name="blocked", address="100.64.0.1", comment="aaad: login 1", *, dynamic=False, disabled=False) -> Entry:
    return Entry("*9", name, address, comment, dynamic, disabled)


def with_lists(*, wanted=(), unsaid=()) -> Subject:
    return ANA._replace(wanted=tuple(wanted), unsaid=tuple(unsaid))


BLOCKED, BLOCKED6 = (LIST, "blocked"), (LIST_IPV6, "blocked6")
V6 = entry("blocked6", "2001:db8:1::/64")
OWNED = with_lists(wanted=[(ADDRESS, "100.64.0.1")])
CASES = {
    "with its own address": (OWNED, [active()], [], [], Said.NOTHING_TO_READ),
    "R8.3 with another than its own": (OWNED, [active(address="100.64.0.7")], [], [], Said.AS_BEFORE),
    "its own, and the router shows none": (OWNED, [active(address="")], [], [], Said.NOTHING_TO_READ),
    "there, as wanted": (ANA, [active()], [rate()], [], Said.AS_WANTED),
    "another rate": (ANA, [active()], [rate("9000000/9000000")], [], Said.AS_BEFORE),
    "no queue at all": (ANA, [active()], [], [], Said.AS_BEFORE),
    "of another session": (ANA, [active()], [rate(name="bob", target="100.64.0.2")], [], Said.AS_BEFORE),
    "gone": (ANA, [active("bob", "81a00009", "100.64.0.9")], [rate()], [], Said.GONE),
    "R8.1 another session": (ANA, [active(session_id="81a00002")], [rate()], [], Said.OTHER),
    "R8.1 one of two": (ANA, [active(session_id="81a00002"), active()], [rate()], [], Said.AS_WANTED),
    "the id with 0x": (ANA._replace(session_id="0x81A00001"), [active()], [rate()], [], Said.AS_WANTED),
    "to go, and there": (GO, [active()], [], [], Said.AS_BEFORE),
    "to go, and gone": (GO, [], [], [], Said.GONE),
    "a Hotspot session is not a PPP one": (GO, [guest()], [], [], Said.GONE),
    "Hotspot, by its address": (GUEST, [guest()], [rate()], [], Said.AS_WANTED),
    "Hotspot, younger: it came back": (GUEST, [guest(uptime_s=10)], [rate()], [], Said.OTHER),
    "Hotspot, another device": (GUEST, [guest(address="100.64.0.7")], [rate()], [], Said.OTHER),
    "nothing of it shows": (with_lists(wanted=[("Session-Timeout", "60")]), [active()], [], [], Said.NOTHING_TO_READ),
    "in the list": (with_lists(wanted=[BLOCKED]), [active()], [], [entry()], Said.AS_WANTED),
    "in it by whomever": (with_lists(wanted=[BLOCKED]), [active()], [], [entry(comment="by hand")], Said.AS_WANTED),
    "not in the list": (with_lists(wanted=[BLOCKED]), [active()], [], [], Said.LISTS_DIFFER),
    "switched off": (with_lists(wanted=[BLOCKED]), [active()], [], [entry(disabled=True)], Said.LISTS_DIFFER),
    "in another list": (with_lists(wanted=[BLOCKED]), [active()], [], [entry("other")], Said.LISTS_DIFFER),
    "still in it": (with_lists(unsaid=[BLOCKED]), [active()], [], [entry()], Said.LISTS_DIFFER),
    "still in it, by the router for its session": (
        with_lists(unsaid=[BLOCKED]), [active()], [], [entry(comment="", dynamic=True)], Said.LISTS_DIFFER,
    ),
    "put there by an administrator": (
        with_lists(unsaid=[BLOCKED]), [active()], [], [entry(comment="debtor")], Said.AS_WANTED,
    ),
    "out of it": (with_lists(unsaid=[BLOCKED]), [active()], [], [], Said.AS_WANTED),
    "said before and again": (
        with_lists(wanted=[BLOCKED], unsaid=[BLOCKED]), [active()], [], [entry()], Said.AS_WANTED,
    ),
    "35: IPv6 still free": (with_lists(wanted=[BLOCKED, BLOCKED6]), [active()], [], [entry()], Said.LISTS_DIFFER),
    "35: both": (with_lists(wanted=[BLOCKED, BLOCKED6]), [active()], [], [entry(), V6], Said.AS_WANTED),
}  # fmt: skip


@pytest.mark.parametrize(("subject", "rows", "rates", "entries", "said"), CASES.values(), ids=CASES.keys())
def test_what_lists_say(subject, rows, rates, entries, said) -> None:
    assert judge(subject, seen_of(rows, rates, entries)) is said


def test_only_what_is_needed_is_read() -> None:
    assert GO.wants == Wants()
    assert ANA.wants == Wants(rates=True)
    both = with_lists(wanted=[BLOCKED], unsaid=[BLOCKED6, (LIST, "notice")]).wants
    assert both == Wants(False, frozenset({"blocked", "notice"}), frozenset({"blocked6"}))
    assert ANA.wants | both == Wants(True, frozenset({"blocked", "notice"}), frozenset({"blocked6"}))
    assert not ANA.has_lists
    assert with_lists(wanted=[BLOCKED]).has_lists
    assert not with_lists(wanted=[BLOCKED])._replace(address="").has_lists, "there is nothing to put into a list"
