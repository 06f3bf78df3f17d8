"""Damaged datagrams on the real path: replica, decision, reply, journal; each ends in a reply, or in silence.

The requests are the simulator's, of every method and service, by concentrators of every kind; damage is of octets,
lengths, attributes and whole datagrams, and half of it is signed anew, so that it gets further than the signature.
"""

import hashlib
import hmac
import random
from array import array
from collections import Counter, deque
from collections.abc import Iterator
from pathlib import Path

import msgspec
from nas_double import is_signed_with

from aaad.journal import Journal, JournalReader
from aaad.policy.codes import Discard, LoginFlag, Reason
from aaad.policy.decide import is_conditional
from aaad.policy.facts import LoginExtras, LoginFacts, PhaseFacts, PlanFacts, Speed
from aaad.radius.access import AccessPath
from aaad.radius.accounting import AccountingPath, Waiting
from aaad.radius.counters import RADIUS_COUNTERS, positions_by_code
from aaad.radius.explain import explain
from aaad.radius.learned import Learned
from aaad.radius.packet import attribute
from aaad.radius.routers import Neighbourhood
from aaad.replica.compile import nt_hash
from aaad.replica.record import (
    AdministratorRow,
    BranchRow,
    NasRow,
    ParameterRow,
    Tables,
    encode,
    encode_damaged,
)
from aaad.replica.store import ReplicaMeta, ReplicaReader, ReplicaWriter
from aaad.simulator.accounting import Status, session_of
from aaad.simulator.fleet import Nases, Subscribers
from aaad.simulator.methods import METHODS
from aaad.simulator.nas import Concentrator, Outbox
from aaad.spool.records import Accounting, Granted, Record
from aaad.words import Language, customer_text

SECRET = b"testing123"
record_decoder: msgspec.msgpack.Decoder[object] = msgspec.msgpack.Decoder(Record | Accounting | Granted)
BEGINS_AT_S = 1_800_000_000.0
PASSWORD = "pass000001"
KINDS = ("mikrotik", "mikrotik-old", "accel-ppp")
_IN_ORDER = LoginFlag.LOGIN_ACTIVE | LoginFlag.CLIENT_ACTIVE
_LEARNS = LoginFlag.MAC_LEARN | LoginFlag.NAS_LEARN | LoginFlag.PORT_LEARN | LoginFlag.CIRCUIT_LEARN
_MAC = 0x020000000000
_ACCESS, _ACCOUNTING, _STATUS = 1, 4, 12
_SIGNATURE = b"\x50\x12"
_INTERESTING = (0, 1, 2, 3, 4, 6, 16, 17, 18, 127, 128, 253, 254, 255)
_OCTETS_MAX = 4_096


def _facts(number: int, **changes: object) -> LoginFacts:
    values = {"flags": _IN_ORDER, "nt_hash": nt_hash(PASSWORD), "password": PASSWORD.encode()} | changes
    facts = LoginFacts(number, number, number, 5, 1, values.pop("flags"), 2, 1, 0xC0000200 + number)
    facts = facts._replace(**values)
    return facts._replace(flags=facts.flags | LoginFlag.CONDITIONAL) if is_conditional(facts) else facts


LOGINS: dict[bytes, LoginFacts] = {
    b"ordinary": _facts(1),
    b"md5": _facts(
        2,
        flags=_IN_ORDER | LoginFlag.PASSWORD_IS_MD5,
        nt_hash=b"",
        password=hashlib.md5(PASSWORD.encode()).digest(),
    ),
    b"blocked": _facts(3, access_status=4),
    b"bound": _facts(4, flags=_IN_ORDER | LoginFlag.MAC_BIND, mac=_MAC, nas_id=1),
    b"learns": _facts(5, flags=_IN_ORDER | _LEARNS),
    b"prepaid": _facts(6, access_ends_at_s=int(BEGINS_AT_S) + 5_000, oldest_due_day=20_000),
    b"whole": _facts(
        7,
        plan_id=6,
        hours=0x00FFFFFF,
        extras=LoginExtras(
            "vlan100",
            "olt 1/2/3",
            "10M",
            "20M",
            "pool4",
            "pool6",
            "pd",
            "2001:db8:7::/64",
            "2001:db8:8::/56",
            ("10.7.0.0/24", "2001:db8:9::/48"),
            "vip",
            "vip6",
            attribute(11, b"shaped"),
        ),
    ),
    b"long": _facts(8, extras=LoginExtras(attributes=attribute(11, b"x" * 250) * 16)),
    b"late": _facts(9, plan_id=6, oldest_due_day=10_000, access_status=5),
    b"mallory": _facts(10, plan_id=99),
}
_MAC_LOGIN = _facts(20, flags=_IN_ORDER | LoginFlag.IS_MAC_LOGIN, mac=_MAC, nt_hash=bytes(16), password=b"")
_PLANS = [
    PlanFacts(5, "ordinary", Speed("25M", "50M"), 0, 0, 300),
    PlanFacts(
        6,
        "whole",
        Speed("10M", "20M", "20M", "40M", "8M", "16M", 8, 8, 5, "1M", "2M"),
        86_400,
        600,
        300,
        0x00FFFF,
        PhaseFacts(0xF00000, Speed("1M", "2M"), 0),
        PhaseFacts(0x0F0000, None, 5),
        15,
        5,
        5,
        "p4",
        "p6",
        "pd6",
        "list",
        "list6",
        "profile",
        ("in.in", "out.out"),
        ("192.0.2.53", "2001:db8::53"),
        2,
        attribute(11, b"of the plan"),
    ),
]
_PARAMETERS = {"blocked_state": "S", "blocked_address_list": "blocked", "notice_address_list": "late"}


class FuzzWorld:
    """One request path over a real replica and a real journal."""

    def __init__(self, directory: Path) -> None:
        self._reader = _replica(directory / "replica")
        self.journal = Journal(directory / "journal" / "radius-0", segment_bytes=1 << 20, bytes_max=1 << 22)
        self._journals = JournalReader(directory / "journal")
        learned, hood = Learned(), Neighbourhood(peers_max=1_000)
        index = {name: position for position, name in enumerate(RADIUS_COUNTERS)}
        self.path = AccessPath(
            logins=self._reader,
            neighbourhood=hood,
            journal=self.journal,
            learned=learned,
            cells=array("q", [0] * len(index)),
            decided_at=positions_by_code(index, Reason),
            slot=0,
            first_serial=1,
            reject_messages={reason: customer_text(reason, Language.PORTUGUESE) for reason in Reason},
            utc_offset_s=lambda time_zone, at_s: -10_800,
        )
        self.accounting = AccountingPath(
            neighbourhood=hood, learned=learned, starts=self.path.starts, is_recording=lambda: True
        )
        self._dice = random.Random(0)  # of the disk
        self._learned = learned
        self._reader.begin()
        tables = self._reader.tables()
        self.path.load(tables, BEGINS_AT_S)
        self.accounting.load(tables)
        self.outcomes: Counter[str] = Counter()
        self._ticked_at_s = BEGINS_AT_S

    def close(self) -> None:
        self._reader.end()
        self._reader.close()
        self.journal.close()

    def meet(self, data: bytes, host: int, now_s: float) -> None:
        """Give one datagram to both ports and look at what comes of it."""
        source = (f"192.0.2.{host}", 40_000)
        answer = self.path.answer(data, source, now_s, now_s)
        if isinstance(answer, Discard):
            self.outcomes[answer.label] += 1
        else:
            assert isinstance(answer, bytes)
            assert answer[0] in (2, 3), answer[0]
            assert is_signed_with(answer, data, SECRET), data.hex()
            self.outcomes["accept" if answer[0] == 2 else "reject"] += 1
        self._account(data, source, now_s)
        if now_s - self._ticked_at_s >= 1.0:
            self._ticked_at_s = now_s
            self.path.tick(now_s)
            self.accounting.tick(now_s)
            self._learned.take(everything=True)

    def _account(self, data: bytes, source: tuple[str, int], now_s: float) -> None:
        """Let the accounting port meet it, and the disk take most of what that makes of it."""
        answer = self.accounting.answer(data, source, now_s, now_s)
        if isinstance(answer, Discard):
            self.outcomes["accounting " + answer.label] += 1
            return
        if isinstance(answer, Waiting):
            read = record_decoder.decode(answer.record)
            assert isinstance(read, Accounting)
            assert read.attributes in data or _is_cut(read.attributes, data)
            if self._dice.random() < 0.1:
                self.accounting.refused(answer)
                self.outcomes["accounting refused"] += 1
                return
            self.outcomes["accounting recorded"] += 1
            answer = self.accounting.recorded(answer, now_s)
        else:
            self.outcomes["accounting answered"] += 1
        assert answer[0] == 5
        if data[0] == _ACCOUNTING:
            expected = hashlib.md5(answer[:4] + data[4:20] + answer[20:] + SECRET).digest()
            assert answer[4:20] == expected, data.hex()
        else:
            assert is_signed_with(answer, data, SECRET), data.hex()
        assert self.accounting.in_work == 0

    def check_journal(self) -> None:
        """Everything that is kept of the logins can be read again."""
        for facts in (*LOGINS.values(), _MAC_LOGIN):
            for entry in self._journals.find(facts.login_id, 1_000):
                explain(entry.body)


def _is_cut(attributes: bytes, data: bytes) -> bool:
    """Tell whether these are attributes of the datagram, in order, some left out."""
    at = 0
    while at < len(attributes):
        one = attributes[at : at + attributes[at + 1]]
        if one[0] in (2, 3, 60, 69, 70, 79, 80) or one not in data:
            return False
        at += len(one)
    return True


def _replica(directory: Path) -> ReplicaReader:
    writer = ReplicaWriter(directory, 1 << 24)
    writer.open()
    built = writer.build()
    with built.write() as transaction:
        for name, facts in LOGINS.items():
            transaction.put_record(name, encode(facts))
        transaction.put_record(b"damaged", encode_damaged(30))
        transaction.put_record(b"020000000000", encode(_MAC_LOGIN))
        transaction.put_tables(_tables())
        transaction.put_meta(
            ReplicaMeta(
                snapshot="1:1:",
                system_identifier="s",
                timeline="1",
                count=1,
                digest=0,
                applied_at_s=1.0,
                node_number=1,
            )
        )
    writer.swap(built)
    writer.close()
    return ReplicaReader(directory)


def _tables() -> Tables:
    policies = ("auto", "yes", "no", "auto", "no", "no")
    kinds = ("mikrotik", "mikrotik", "mikrotik", "accel_ppp", "huawei", "cisco")
    nases = [
        NasRow(n, f"nas-{n}", f"192.0.2.{n}/32", SECRET, b"", 0.0, kind, True, policy, 900, 1)
        for n, (kind, policy) in enumerate(zip(kinds, policies, strict=True), start=1)
    ]
    return Tables(
        1,
        nases,
        [],
        _PLANS,
        [ParameterRow(name, 0, value) for name, value in _PARAMETERS.items()],
        b"key of a cluster",
        1,
        [BranchRow(1, "America/Sao_Paulo")],
        [AdministratorRow(1, b"admin", PASSWORD.encode(), nt_hash(PASSWORD), "full", 0)],
    )


def good_requests(dice: random.Random) -> list[bytes]:
    """Return an undamaged request of every login by every method, and one of each other kind."""
    outbox: Outbox = deque()
    names = [name.decode() for name in LOGINS] + ["damaged", "admin", "nobody", "DOMAIN\\ordinary", "ordinary@realm"]
    for kind in KINDS:
        (nas,) = Nases(kind=kind).make()
        concentrator = Concentrator(nas, 1, dice.randbytes, outbox)
        for name in names:
            made = Subscribers(
                count=len(METHODS), names=name, passwords=PASSWORD, methods=tuple(METHODS), circuits="olt 1/2/3"
            )
            for subscriber in made.make():
                dial = concentrator.dial(subscriber, 0.0)
                if subscriber.method is next(iter(METHODS.values())):
                    session = session_of(nas, dial, 0, 0.0, None)
                    for status in Status:
                        concentrator.report(status, 0.0, session)
    datagrams = [datagram for _, datagram in outbox]
    return [*datagrams, _status(dice), datagrams[0][:1] + b"\0\0\x14" + bytes(16)]


def _status(dice: random.Random) -> bytes:
    return _signed(bytes((_STATUS, 1, 0, 38)) + dice.randbytes(16) + _SIGNATURE + bytes(16))


def damaged(dice: random.Random, good: list[bytes]) -> Iterator[bytes]:
    """Yield datagrams without end: of ten, nine damaged in one to four ways, half of them signed anew."""
    while True:
        data = bytearray(dice.choice(good))
        data[1] = dice.randrange(256)
        if dice.random() < 0.5:
            data[4:20] = dice.randbytes(16)  # else CHAP and MS-CHAP would never be right, nor PAP be another
        if dice.random() < 0.9:
            for _ in range(dice.randrange(1, 5)):
                dice.choice(_DAMAGES)(dice, data, good)
        del data[_OCTETS_MAX:]
        if dice.random() < 0.5 and len(data) >= 20:
            data[2:4] = len(data).to_bytes(2, "big")
            data = bytearray(_signed(bytes(data)))
        yield bytes(data)


def _signed(data: bytes) -> bytes:
    """Return a datagram with its authenticators made anew, where it has room for them."""
    if data[0] == _ACCOUNTING:
        return data[:4] + hashlib.md5(data[:4] + bytes(16) + data[20:] + SECRET).digest() + data[20:]
    at = data.find(_SIGNATURE, 20)
    if at < 0 or at + 18 > len(data):
        return data
    blank = data[: at + 2] + bytes(16) + data[at + 18 :]
    return data[: at + 2] + hmac.digest(SECRET, blank, "md5") + data[at + 18 :]


def _place(dice: random.Random, data: bytearray) -> int:
    return dice.randrange(len(data)) if data else 0


def _octet(dice: random.Random, data: bytearray, good: list[bytes]) -> None:
    if data:
        data[_place(dice, data)] = dice.choice(_INTERESTING) if dice.random() < 0.5 else dice.randrange(256)


def _bit(dice: random.Random, data: bytearray, good: list[bytes]) -> None:
    if data:
        data[_place(dice, data)] ^= 1 << dice.randrange(8)


def _cut(dice: random.Random, data: bytearray, good: list[bytes]) -> None:
    del data[_place(dice, data) :]


def _insert(dice: random.Random, data: bytearray, good: list[bytes]) -> None:
    at = _place(dice, data)
    data[at:at] = dice.randbytes(dice.randrange(1, 20))


def _drop(dice: random.Random, data: bytearray, good: list[bytes]) -> None:
    at = _place(dice, data)
    del data[at : at + dice.randrange(1, 20)]


def _splice(dice: random.Random, data: bytearray, good: list[bytes]) -> None:
    other = dice.choice(good)
    data[_place(dice, data) :] = other[dice.randrange(len(other)) :]


def _attribute(dice: random.Random, data: bytearray, good: list[bytes]) -> None:
    """Put a whole attribute at the end: the packet stays well formed."""
    kind = dice.choice((1, 2, 3, 6, 7, 8, 24, 26, 31, 32, 33, 44, 60, 61, 79, 80, 87, dice.randrange(256)))
    value = dice.randbytes(dice.choice((0, 1, 4, 6, 8, 16, 17, 18, 50, 56, 253)))
    if kind == 26:
        value = dice.choice((311, 3561, 2352, 14988)).to_bytes(4, "big") + value[:249]
    data += bytes((kind, len(value) + 2)) + value
    if len(data) >= 4:
        data[2:4] = min(len(data), 65_535).to_bytes(2, "big")


def _repeat(dice: random.Random, data: bytearray, good: list[bytes]) -> None:
    """Repeat the attributes: two user names, two signatures, two passwords."""
    data += data[20:]
    if len(data) >= 4:
        data[2:4] = min(len(data), 65_535).to_bytes(2, "big")


def _header(dice: random.Random, data: bytearray, good: list[bytes]) -> None:
    if len(data) >= 4:
        data[0] = dice.choice((_ACCESS, _ACCOUNTING, _STATUS, 2, 11, 40, 43, dice.randrange(256)))
        data[2:4] = dice.randrange(65_536).to_bytes(2, "big")


_DAMAGES = (_octet, _octet, _bit, _bit, _cut, _insert, _drop, _splice, _attribute, _attribute, _repeat, _header)


def fuzz(directory: Path, seed: int, count: int) -> Counter[str]:
    """Let `count` datagrams meet one path; return how often each outcome came."""
    dice = random.Random(seed)
    world = FuzzWorld(directory)
    try:
        good = good_requests(dice)
        for number, data in zip(range(count), damaged(dice, good), strict=False):
            try:
                world.meet(data, number % 7 + 1, BEGINS_AT_S + number / 1_000)
            except Exception as error:
                error.add_note(f"seed {seed}, datagram {number}: {data.hex()}")
                raise
        world.check_journal()
        return world.outcomes
    finally:
        world.close()
