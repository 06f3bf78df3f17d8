"""Accounting proves secrets (R2.1, R2.2) and ends the wait for a session (R10)."""

import hashlib
import math
from itertools import count

import pytest

from aaad.policy.codes import Discard
from aaad.radius import accounting as accounting_module
from aaad.radius import starts
from aaad.radius.accounting import AccountingPath, Waiting
from aaad.radius.integrity import SecretKeys
from aaad.radius.learned import Learned
from aaad.radius.routers import Neighbourhood, Router
from aaad.radius.starts import WAIT_S, StartWatch
from aaad.replica.record import NasRow, RouterRow, Tables
from aaad.spool.records import RouterSeen

NOW_S = 1_000_000.0
ADDRESS = "192.0.2.1"
START, INTERIM = 1, 3


def row(address: str = f"{ADDRESS}/32", **changes: object) -> NasRow:
    values = {
        "name": "nat",
        "secret": b"first",
        "secret_previous": b"",
        "secret_previous_until_s": 0.0,
        "kind": "mikrotik",
        "enabled": True,
        "message_authenticator": "auto",
        "deadline_ms": 900,
        "branch_id": 1,
        "secrets": ((b"second", math.inf), (b"third", math.inf)),
    } | changes
    return NasRow(nas_id=1, address=address, **values)


_delays = count(1)


def accounting(
    secret: bytes = b"first", *, session: bytes = b"81a00001", status: int = START, identifier: bytes = b"bras-1"
) -> bytes:
    """An Accounting-Request, made here and not by the server's code (RFC 2866, 3). No two are copies."""
    body = b"".join(
        bytes((kind, len(value) + 2)) + value
        for kind, value in (
            (40, status.to_bytes(4, "big")),
            (44, session),
            (32, identifier),
            (41, next(_delays).to_bytes(4, "big")),
        )
    )
    head = b"\x04\x09" + (20 + len(body)).to_bytes(2, "big")
    return head + hashlib.md5(head + bytes(16) + body + secret).digest() + body


class World:
    def __init__(self, nas: NasRow | None = None) -> None:
        self.hood = Neighbourhood(peers_max=10)
        self.hood.load([nas or row()], (), NOW_S)
        self.learned, self.starts = Learned(), StartWatch(self.hood)
        self.path = AccountingPath(
            neighbourhood=self.hood, learned=self.learned, starts=self.starts, is_recording=lambda: True
        )
        self.path.load(Tables(1, [], [], [], [], b"key of a cluster", 1))

    def hear(self, data: bytes, *, address: str = ADDRESS, now_s: float = NOW_S) -> Discard | None:
        """Why it is not recorded; None: it is."""
        answer = self.path.answer(data, (address, 1813), now_s, now_s)
        if not isinstance(answer, Waiting):
            assert isinstance(answer, Discard)
            return answer
        self.path.recorded(answer, now_s)
        return None

    def asking(self, identifier: bytes = b"bras-1", *, address: str = ADDRESS, now_s: float = NOW_S) -> Router:
        """The router as an Access-Request from another port finds it."""
        peer = self.hood.new_peer((address, 40000), now_s)
        assert peer is not None
        return self.hood.router(peer, identifier)


def holds(router: Router, secret: bytes) -> bool:
    return router.proven.same_secret(SecretKeys(secret))


@pytest.mark.parametrize(
    "nas", [row(), row("192.0.2.0/24"), row(enabled=False)], ids=["address", "prefix", "disabled"]
)
def test_r2_1_r2_2_two_routers_behind_one_entry_each_prove_a_secret_of_their_own(nas: NasRow) -> None:
    world = World(nas)
    before = world.asking(b"bras-2")
    assert holds(before, b"first"), "nothing is proven yet"
    assert world.hear(accounting(b"second", identifier=b"bras-2")) is None
    assert world.hear(accounting(b"third", identifier=b"bras-3")) is None
    for identifier, secret in ((b"bras-1", b"first"), (b"bras-2", b"second"), (b"bras-3", b"third")):
        assert holds(world.asking(identifier), secret)
    told = [record for record in world.learned.take() if isinstance(record, RouterSeen)]
    assert [record.nas_identifier for record in told] == [b"bras-2", b"bras-3"]


def test_r2_2_a_wrong_authenticator_proves_nothing_and_is_counted() -> None:
    world = World()
    assert world.hear(accounting(b"fourth")) is Discard.BAD_MESSAGE_AUTHENTICATOR
    assert world.hood.routers == {}
    counts = world.hood.strangers[1, ADDRESS].statistics
    assert (counts.accounting_bad_authenticators, counts.bad_authenticators_at_s) == (1, NOW_S)
    assert world.hear(accounting(b"second"), now_s=NOW_S + 5) is None
    assert counts.proven_at_s == NOW_S + 5, "what was wrong at this address is put right"


@pytest.mark.parametrize(
    ("data", "address", "cause"),
    [
        (accounting(), "198.51.100.1", Discard.UNKNOWN_NAS),
        (accounting()[:19], ADDRESS, Discard.MALFORMED),
        (accounting()[:-1], ADDRESS, Discard.MALFORMED),
        (b"", ADDRESS, Discard.MALFORMED),
        (b"\x0c" + accounting()[1:], ADDRESS, Discard.MESSAGE_AUTHENTICATOR_MISSING),
        (b"\x01" + accounting()[1:], ADDRESS, Discard.CODE_NOT_SERVED),
    ],
)
def test_what_is_no_accounting_of_ours_proves_nothing(data: bytes, address: str, cause: Discard) -> None:
    world = World()
    assert world.hear(data, address=address) is cause
    assert world.hood.routers == {}


def test_r10_a_start_in_time_ends_the_wait_and_nothing_else_does() -> None:
    world = World()
    world.hear(accounting(session=b"0", status=INTERIM))
    router = world.asking()
    for session in (b"1", b"2", b"3", b"4"):
        world.starts.accepted(router, session, NOW_S, is_proven=True)
    world.hear(accounting(session=b"1"))
    world.hear(accounting(session=b"2", status=INTERIM))
    world.hear(accounting(b"wrong", session=b"3"))
    world.path.tick(NOW_S + WAIT_S - 0.1)
    assert router.statistics.accepts_without_start == 0
    world.path.tick(NOW_S + WAIT_S)
    assert (router.statistics.accepts_without_start, router.statistics.starts_unmatched) == (3, 0)
    assert router.statistics.doubted_accepts == 0, "these requests proved the secret"
    assert len(world.starts) == 0


def test_r10_accepts_that_nothing_proved_are_doubted_until_the_secret_is_proven() -> None:
    world = World()
    router = world.asking()
    for number in range(3):
        router.doubt(NOW_S + number, resent=2)
        world.starts.accepted(router, b"%d" % number, NOW_S + number, is_proven=False)
    world.path.tick(NOW_S + 40)
    counts = router.statistics
    assert (counts.doubted_accepts, counts.doubted_resent, counts.doubted_at_s) == (3, 6, NOW_S + 2)
    assert counts.proven_at_s < counts.doubted_at_s
    world.hear(accounting(), now_s=NOW_S + 50)
    assert counts.proven_at_s > counts.doubted_at_s
    assert world.asking().is_kept, "the peer that asked before finds the router that is proven now"
    world.starts.accepted(router, b"9", NOW_S + 60, is_proven=False)
    world.path.tick(NOW_S + 99)
    assert (counts.doubted_accepts, counts.doubted_resent) == (1, 0), "a new row of signs"


def test_the_wait_of_an_address_goes_on_when_one_router_behind_it_proves_its_secret() -> None:
    world = World()
    for turn in range(50):  # what ended and began anew is waited for once
        world.starts.accepted(world.asking(b"bras-1"), b"%d" % turn, NOW_S, is_proven=False)
        world.hear(accounting(session=b"%d" % turn))
    world.hear(accounting(b"wrong", identifier=b"bras-2"))
    stranger = world.hood.strangers[1, ADDRESS]
    world.starts.accepted(world.asking(b"bras-2"), b"other", NOW_S, is_proven=False)
    world.starts.accepted(world.asking(b"bras-3"), b"first", NOW_S, is_proven=False)
    world.hear(accounting(b"third", session=b"first", identifier=b"bras-3"))
    assert len(world.starts) == 1
    world.path.tick(NOW_S + WAIT_S)
    assert (stranger.statistics.accepts_without_start, len(world.starts)) == (1, 0)
    assert world.asking(b"bras-3").statistics.starts_unmatched == 0


def test_r10_copies_of_a_start_count_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.hear(accounting(session=b"0", status=INTERIM))
    counts = world.asking().statistics
    for turn in range(3):
        at_s = NOW_S + 20 * turn
        world.path.tick(at_s)
        world.starts.accepted(world.asking(), b"%d" % turn, at_s, is_proven=True)
        for copy in range(3):
            world.hear(accounting(session=b"%d" % turn), now_s=at_s + copy)
            world.hear(accounting(session=b"of another process %d" % turn), now_s=at_s + copy)
    assert counts.starts_unmatched == 3
    for second in range(2 * int(starts.BEGUN_S) + 1):
        world.path.tick(NOW_S + 60 + second)
    world.hear(accounting(session=b"2"), now_s=NOW_S + 121)
    assert counts.starts_unmatched == 4, "not remembered for ever"
    monkeypatch.setattr(starts, "BEGUN_MAX", 2)
    for session in (b"a", b"b", b"c", b"d", b"e", b"e", b"c", b"a"):
        world.hear(accounting(session=session))
    assert counts.starts_unmatched == 4 + 6, "the oldest of many is forgotten, the latest are known"


def test_r10_a_session_accepted_again_waits_anew_and_holds_up_no_other() -> None:
    world = World()
    router = world.asking()
    world.starts.accepted(router, b"again", NOW_S, is_proven=True)
    world.starts.accepted(router, b"once", NOW_S + 1, is_proven=True)
    world.starts.accepted(router, b"again", NOW_S + 20, is_proven=True)
    world.path.tick(NOW_S + 1 + WAIT_S)
    assert (router.statistics.accepts_without_start, list(router.statistics.waiting)) == (1, [b"again"])


def test_starts_of_sessions_that_another_process_let_in_are_counted_apart() -> None:
    world = World()
    world.hear(accounting())
    assert world.asking().statistics.starts_unmatched == 1


def test_the_wait_is_bounded_for_a_router_and_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starts, "ROUTER_WAITING_MAX", 3)
    monkeypatch.setattr(starts, "WAITING_MAX", 5)
    world = World(row("192.0.2.0/24"))
    for last in (1, 2):
        for number in range(9):
            router = world.asking(address=f"192.0.2.{last}")
            world.starts.accepted(router, b"%d" % number, NOW_S, is_proven=True)
        assert len(world.starts) == 3 * last
    world.path.tick(NOW_S)
    assert len(world.starts) == 0, "too many to judge any"
    world.path.tick(NOW_S + 99)
    assert world.asking().statistics.accepts_without_start == 0


def test_where_accounting_goes_by_unread_nobody_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounting_module, "IN_WORK_MAX", 1)
    world = World()
    world.hear(accounting())
    world.starts.accepted(world.asking(), b"1", NOW_S, is_proven=True)
    (waiting,) = [world.path.answer(accounting(session=b"0"), (ADDRESS, 1813), NOW_S, NOW_S)]
    assert isinstance(waiting, Waiting)
    assert world.hear(accounting(session=b"1")) is Discard.OVERLOAD
    world.path.tick(NOW_S + 99)
    assert world.asking().statistics.accepts_without_start == 0
    world.path.recorded(waiting, NOW_S)
    assert world.hear(accounting()) is None


def test_strangers_take_nothing_of_what_is_looked_at_of_those_who_proved_a_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(accounting_module, "STRANGERS_PER_S", 3)
    world = World(row("192.0.2.0/24"))
    world.hear(accounting())
    world.path.tick(NOW_S)
    world.starts.accepted(world.asking(), b"1", NOW_S, is_proven=True)
    world.starts.accepted(world.asking(address="192.0.2.77"), b"2", NOW_S, is_proven=False)
    for _ in range(9):
        assert world.hear(accounting(), address="198.51.100.9") is Discard.UNKNOWN_NAS
    looked_at = [world.hear(b"no packet", address=f"192.0.2.{last}") for last in range(100, 105)]
    assert looked_at == [Discard.MALFORMED] * 3 + [Discard.OVERLOAD] * 2
    assert world.hear(accounting(session=b"0")) is None
    world.path.tick(NOW_S + 99)
    assert world.asking().statistics.accepts_without_start == 1, "nothing of a proven router went by unread"
    stranger = world.hood.strangers[1, "192.0.2.77"]
    assert stranger.statistics.accepts_without_start == 0, "its Start may have been among what was not read"


def test_an_address_that_proved_a_secret_to_another_node_is_no_stranger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounting_module, "STRANGERS_PER_S", 0)
    world = World()
    assert world.hear(accounting()) is Discard.OVERLOAD
    world.hood.load([row()], [RouterRow(1, ADDRESS, b"bras-1", 0.0, 0.0)], NOW_S)
    assert world.hear(accounting()) is None
