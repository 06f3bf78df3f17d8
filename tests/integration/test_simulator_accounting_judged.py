"""What the simulator reports, as those understand it who know nothing of us: FreeRADIUS and pyrad."""

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import freeradius_oracle
import pytest
from pyrad.dictionary import Dictionary
from pyrad.packet import AcctPacket

from aaad.simulator.fleet import Nases, Subscribers
from aaad.simulator.network import Server, simulate
from aaad.simulator.record_log import record_values
from aaad.simulator.request import KINDS, Nas
from aaad.simulator.simulation import Plan, PowerCut, Simulation
from aaad.simulator.wire import Weather

COUNT = 12
ADDRESS, CLASS = "100.64.9.9", "0x0102fe"
GRANTED = f'Class = {CLASS}, Framed-IP-Address = {ADDRESS}, Delegated-IPv6-Prefix = "2001:db8:7::/56"'
NEW_ROUTER_OS = replace(KINDS["mikrotik"], demands_signature=False, timeout_s=0.7)  # FreeRADIUS 3.2.1 signs nothing
STATUSES = {
    "Start": "start",
    "Interim-Update": "interim",
    "Stop": "stop",
    "Accounting-On": "on",
    "Accounting-Off": "off",
}
CAUSES = {"User-Request": 1, "Lost-Carrier": 2, "Session-Timeout": 5, "NAS-Error": 9}
needs_freeradius = pytest.mark.skipif(
    freeradius_oracle.PROGRAM is None, reason="FreeRADIUS is not installed: NOT COMPARED"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("freeradius")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    passwords = {one.name: one.secret.password for one in Subscribers(count=COUNT).make()}
    with freeradius_oracle.freeradius(folder, passwords, GRANTED) as (address, port):
        yield Server(address, port, port + 1)


def run(
    server: Server, folder: Path, plan: Plan, nases: Sequence[Nas], methods: Sequence[str]
) -> tuple[list[dict[str, object]], list[dict[str, list[str]]], Simulation]:
    """Simulate; return what was told of each record, and what FreeRADIUS understood."""
    (folder / "detail").unlink(missing_ok=True)
    told: list[dict[str, object]] = []
    epoch_s = time.time() - time.monotonic()
    simulation = Simulation(
        replace(plan, has_accounting=True),
        nases,
        Subscribers(count=COUNT, methods=methods).make(),
        1,
        os.urandom,
        epoch_s=epoch_s,
        tell=lambda *record: told.append(record_values(*record, epoch_s)),
    )
    simulate(simulation, [server])
    return told, freeradius_oracle.reported(folder), simulation


def key(found: dict[str, list[str]]) -> tuple[str, str, str, int, int]:
    status = STATUSES[found["Acct-Status-Type"][0]]
    age_s = int(found.get("Acct-Session-Time", ["0"])[0])
    octets = int(found.get("Acct-Output-Octets", ["0"])[0])
    return found["NAS-Identifier"][0], found["Acct-Session-Id"][0], status, age_s, octets


def key_told(one: dict[str, object]) -> tuple[str, str, str, int, int]:
    age_s, octets = int(str(one["session_time_s"])), int(str(one["octets_out"])) & 0xFFFFFFFF
    return str(one["nas"]), str(one["acct_session_id"]), str(one["status"]), age_s, octets


@needs_freeradius
def test_freeradius_believes_and_understands_every_record(server: Server, folder: Path) -> None:
    kinds = {
        "chap": {"kind": KINDS["mikrotik-old"]},
        "hotspot": {"kind": KINDS["mikrotik-old"], "has_gigawords": False},
        "mschapv2": {"kind": KINDS["accel-ppp"]},
        "pap": {"kind": NEW_ROUTER_OS, "clock_ahead_s": 7200.0},
    }
    made = Nases(count=len(kinds)).make()
    nases = [replace(nas, **changes) for nas, changes in zip(made, kinds.values(), strict=True)]
    plan = Plan(interim_s=0.5, stay_s=1.2, octets_per_s=(1e9, 5e9))
    told, reported, _ = run(server, folder, plan, nases, tuple(kinds))
    assert Counter(one["status"] for one in told) == {"start": COUNT, "interim": 2 * COUNT, "stop": COUNT}
    assert all(one["acknowledged"] for one in told)
    understood = {key(found): found for found in reported}
    assert len(understood) == len(reported) == len(told)
    assert set(understood) == {key_told(one) for one in told}
    by_name = {nas.name: nas for nas in nases}
    for one in told:
        assert_understood(one, understood[key_told(one)], by_name[str(one["nas"])])


def assert_understood(one: dict[str, object], found: dict[str, list[str]], nas: Nas) -> None:
    assert found["User-Name"] == [one["user_name"]]
    assert found["Framed-IP-Address"][0] == one["address"]
    assert found["Class"] == [CLASS]
    assert ("Delegated-IPv6-Prefix" in found) == nas.kind.tells_ipv6
    moment = time.strptime(found["Event-Timestamp"][0].rsplit(" ", 1)[0], "%b %d %Y %H:%M:%S")
    assert time.mktime(moment) == one["event_timestamp"]
    if one["status"] != "start":
        for name, octets in (("Input", one["octets_in"]), ("Output", one["octets_out"])):
            low, high = (int(found.get(f"Acct-{name}-{unit}", ["0"])[0]) for unit in ("Octets", "Gigawords"))
            assert high << 32 | low == (octets if nas.has_gigawords else octets & 0xFFFFFFFF)
    cause = found.get("Acct-Terminate-Cause")
    assert (None if cause is None else CAUSES[cause[0]]) == one["cause"]


@needs_freeradius
def test_freeradius_sees_delays_repeats_and_restarts(server: Server, folder: Path) -> None:
    plan = Plan(
        interim_s=0.5,
        stay_s=1.8,
        power_cuts=[PowerCut(at_s=1, off_s=0.5)],
        weather=Weather(lost=0.25, repeated=0.1, reordered=0.2, late_s=0.2),
    )
    nases = Nases(count=2, changes={"kind": NEW_ROUTER_OS, "says_restarts": True}).make()
    told, reported, simulation = run(server, folder, plan, nases, ("pap",))
    delays = Counter(found["Acct-Delay-Time"][0] for found in reported)
    assert delays["0"] > delays["1"] > 0
    assert sum(report.resent for report in simulation.report.accounting.values()) > 5
    assert Counter(found["Acct-Status-Type"][0] for found in reported)["Accounting-On"] >= 1
    acknowledged = {key_told(one) for one in told if one["acknowledged"] and "session" in one}
    received = {key(found) for found in reported if "User-Name" in found}
    assert acknowledged <= received <= {key_told(one) for one in told if "session" in one}
    assert len(acknowledged) > 20


@needs_freeradius
def test_freeradius_drops_what_another_secret_signed(server: Server, folder: Path) -> None:
    plan = Plan(stay_s=0.2)
    simulation = Simulation(
        replace(plan, has_accounting=True),
        Nases(kind="mikrotik-old").make(),
        Subscribers(count=1, methods=("chap",)).make(),
        1,
        os.urandom,
    )
    (concentrator,) = simulation.concentrators
    begin = simulation.online.begin

    def with_another_secret(*dialled):
        concentrator.nas = replace(concentrator.nas, secret=b"another")
        begin(*dialled)

    simulation.online.begin = with_another_secret
    assert simulate(simulation, [server]).accounting["start"].given_up == 1


@pytest.mark.parametrize("kind", list(KINDS))
def test_pyrad_believes_every_record(kind: str) -> None:
    dictionary = Dictionary()
    simulation = Simulation(
        Plan(interim_s=1, stay_s=3, has_accounting=True, power_cuts=[PowerCut(1.5, 0.2)]),
        Nases(kind=kind, changes={"says_restarts": True}).make(),
        Subscribers(count=3, methods=("pap",)).make(),
        1,
        os.urandom,
    )
    now_s, seen = 1000.0, Counter()
    while not simulation.is_over(now_s):
        simulation.advance(now_s)
        while simulation.outbox:
            line, datagram = simulation.outbox.popleft()
            if datagram[0] == 4:
                packet = AcctPacket(packet=datagram, secret=b"testing123", dict=dictionary)
                assert packet.VerifyAcctRequest()
                seen[packet[40][0][-1]] += 1
                answer = packet.CreateReply().ReplyPacket()
            else:
                answer = accept(datagram)
            simulation.receive(line, answer, now_s)
        now_s += 0.01
    assert set(seen) == {1, 2, 3, 7}
    assert not simulation.finish(now_s, 0).bad_replies


def accept(request: bytes) -> bytes:
    from misbehaving_server import reply

    return reply(request, attributes=b"\x19\x05abc\x08\x06\x64\x40\0\1")
