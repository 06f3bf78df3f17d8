"""The accounting port over real UDP: real clients, a spool on disk, a disk that fails, a process that is killed."""

import asyncio
import errno
import gc
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit" / "spool"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit" / "radius"))

from access_world import nas_row
from accounting_world import (
    DELAY_TIME,
    INTERIM,
    OFF,
    ON,
    START,
    STOP,
    accounting_packet,
    accounting_request,
    check_response,
    own_class,
)
from drain_house import NODE, House
from nas_double import SECRET, access_request, attributes_of, checked, status_server, tlv
from radius_service import Client, Service, record_decoder, running, tables
from spool_disk import SEGMENT_BYTES, Disk, drained

from aaad.policy.codes import Discard
from aaad.radius import accounting_port, datagrams
from aaad.radius import counters as names
from aaad.radius.datagrams import TOGETHER_MAX, can_send_together, send_together
from aaad.sessions.handoff import HandoffServer
from aaad.spool import writer as writer_module
from aaad.spool.handoff import LENGTH_OCTETS, HandoffAnswer, decode_handoff, encode_message, message_length
from aaad.spool.records import Accounting
from aaad.spool.writer import SpoolWriter


@asynccontextmanager
async def with_disk(
    directory: Path, disk: Disk | None = None, *, handoff: Path | None = None, **options: Any
) -> AsyncIterator[Service]:
    """A service over a spool of its own on disk."""
    given = {} if disk is None else {"write": disk.write, "sync": disk.sync}
    spool = SpoolWriter(
        directory / "spool" / "radius-0",
        segment_bytes=SEGMENT_BYTES,
        bytes_max=1 << 30,
        handoff=handoff,
        handoff_timeout_s=0.5,
        **given,
    )
    spool.start()
    try:
        async with running(directory, spool=spool, **options) as service:
            yield service
    finally:
        if disk is not None:
            disk.gate.set()
        assert spool.stop(10)


def stored(directory: Path) -> list[Accounting]:
    """Every accounting record on disk, in order."""
    payloads, _ = drained(directory / "spool" / "radius-0", records_max=1_000)
    records = [record_decoder.decode(payload) for payload in payloads]
    return [record for record in records if isinstance(record, Accounting)]


def records_of(service: Service) -> dict[str, int]:
    """How many of each kind were made safe."""
    kinds = ("start", "stop", "interim_update", "accounting_on", "accounting_off")
    return {kind: service.count(names.accounting_record(kind)) for kind in kinds}


async def test_every_record_is_on_disk_before_it_is_answered(tmp_path: Path) -> None:
    disk = Disk()
    requests = [accounting_request(status, identifier=status) for status in (START, STOP, INTERIM, ON, OFF)]
    async with with_disk(tmp_path, disk) as service:
        with Client(service.acct) as client:
            disk.gate.clear()
            client.send(*requests, *requests)
            assert await client.is_silent()
            assert stored(tmp_path) == []
            await service.counted(names.accounting_discarded(Discard.DUPLICATE_IN_WORK), len(requests))
            disk.gate.set()
            for request in requests:
                check_response(await client.receive(), request)
            assert [record.attributes for record in stored(tmp_path)] == [request[20:] for request in requests]
            check_response(await client.ask(requests[0]), requests[0])
        await service.counted(names.ACCOUNTING_COPIES, 1)
    assert records_of(service) == dict.fromkeys(records_of(service), 1)
    assert len(stored(tmp_path)) == len(requests)
    assert (service.count(names.ACCOUNTING_RECEIVED), service.count(names.ACCOUNTING_ANSWERED)) == (11, 6)
    seconds = [service.count(name) for name in names.RADIUS_COUNTERS if name.startswith(names.ACCOUNTING_SECONDS)]
    assert sum(seconds) == 6
    assert (service.count(names.RECEIVED), service.count(names.ANSWERED)) == (0, 0), "logins are counted apart"


@pytest.mark.parametrize(
    ("per_s", "was_crowded", "expected"),
    [
        (0.0, False, False),
        (6_000.0, False, False),
        (6_001.0, False, True),
        (4_501.0, True, True),
        (4_500.0, True, False),
        (0.0, True, False),
    ],
)
def test_very_many_a_second_are_a_crowd_until_they_are_clearly_less(
    per_s: float, was_crowded: bool, expected: bool
) -> None:
    assert accounting_port.is_crowded(per_s, was_crowded) is expected


async def test_in_a_crowd_looks_are_less_often_and_all_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounting_port, "CROWDED_PER_S", -1)
    monkeypatch.setattr(accounting_port, "EASED_PER_S", -1)
    pauses: list[float] = []
    requests = [accounting_request(INTERIM, identifier=number) for number in range(200)]
    async with with_disk(tmp_path) as service:
        loop = asyncio.get_running_loop()
        later = loop.call_later
        await asyncio.sleep(1.2)  # the second's own look has come

        def note(delay_s: float, *rest: Any, **named: Any) -> asyncio.TimerHandle:
            pauses.append(delay_s)
            return later(delay_s, *rest, **named)

        monkeypatch.setattr(loop, "call_later", note, raising=False)
        with Client(service.acct) as client:
            for start in range(0, len(requests), 10):
                some = requests[start : start + 10]
                client.send(*some)
                answered = {(await client.receive())[1] for _ in some}
                assert answered == {request[1] for request in some}
    assert accounting_port.LOOK_CROWDED_S in pauses
    assert accounting_port.LOOK_AGAIN_S not in pauses
    assert len(stored(tmp_path)) == len(requests)


@pytest.mark.parametrize("count", [accounting_port.LOOK_WITH_ANSWERS + 4, accounting_port.LOOK_WITH_ANSWERS - 6])
async def test_in_a_crowd_a_look_comes_with_answers_only_if_these_are_very_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """Neither number is one of full looks, so the next look would come by the clock."""
    monkeypatch.setattr(accounting_port, "CROWDED_PER_S", -1)
    monkeypatch.setattr(accounting_port, "EASED_PER_S", -1)
    monkeypatch.setattr(accounting_port, "LOOK_CROWDED_S", 60.0)
    requests = [accounting_request(INTERIM, identifier=number) for number in range(count + 1)]
    async with with_disk(tmp_path) as service:
        await asyncio.sleep(1.2)  # the second's own look has come
        with Client(service.acct, timeout_s=1.0) as client:
            client.send(*requests[:-1])
            assert len({(await client.receive())[1] for _ in requests[:-1]}) == count
            client.send(requests[-1])
            if count > accounting_port.LOOK_WITH_ANSWERS:
                check_response(await client.receive(), requests[-1])
            else:
                assert await client.is_silent()


# --- real clients ---------------------------------------------------------------------------------------------------


@pytest.mark.skipif(
    shutil.which("radclient") is None,
    reason="radclient is missing (Debian's freeradius-utils has it): NOT TRIED",
)
async def test_debians_radclient_believes_the_answer_to_every_kind_of_record(tmp_path: Path) -> None:
    def ask(attributes: str, secret: str = SECRET.decode(), kind: str = "acct") -> str:
        command = ["radclient", "-x", "-r", "1", "-t", "2", f"127.0.0.1:{service.acct[1]}", kind, secret]
        done = subprocess.run(command, input=attributes, capture_output=True, text=True, timeout=20, check=False)
        return done.stdout + done.stderr

    kinds = ("Start", "Interim-Update", "Stop", "Accounting-On", "Accounting-Off")
    also = ",Acct-Session-Time=9,Acct-Input-Octets=1,Acct-Output-Octets=2,NAS-IP-Address=127.0.0.1"
    async with with_disk(tmp_path) as service:
        for kind in kinds:
            told = await asyncio.to_thread(ask, f"User-Name=alice,Acct-Status-Type={kind},Acct-Session-Id=s1{also}")
            assert "Received Accounting-Response" in told
        signed = "User-Name=nobody,Acct-Status-Type=Start,Acct-Session-Id=s2,Message-Authenticator=0x00"
        assert "Received Accounting-Response" in await asyncio.to_thread(ask, signed)
        failed = "User-Name=alice,Acct-Status-Type=Failed,Acct-Session-Id=s3"
        assert "Received Accounting-Response" in await asyncio.to_thread(ask, failed)
        assert "Received" not in await asyncio.to_thread(ask, signed, "not the secret")
        assert "Received" in await asyncio.to_thread(ask, "Message-Authenticator=0x00", kind="status")
    assert len(stored(tmp_path)) == 6
    assert service.count(names.accounting_unrecordable("status_type")) == 1


MIKROTIK = tlv(6, b"\0\0\0\2") + tlv(7, b"\0\0\0\1") + tlv(5, b"\0\xf0\0\x08") + tlv(61, b"\0\0\0\x0f")
PLACE = tlv(31, b"AA:BB:CC:DD:EE:01") + tlv(30, b"pppoe-srv1") + tlv(87, b"vlan100")
TRAFFIC = tlv(42, b"\0\1\xe2@") + tlv(52, b"\0\0\0\1") + tlv(43, b"\0\x09\xfb\xf1") + tlv(53, b"\0\0\0\2")


def routeros(status: int, identifier: int, *, since_s: int = 0, delay_s: int = 0, more: bytes = b"") -> bytes:
    """A RouterOS's record: what its Access-Request said, the Class of its Accept, and what the session did."""
    session = tlv(44, b"81600001") + tlv(8, b"\x64\x40\1\2") + own_class() + tlv(45, b"\0\0\0\1")
    body = MIKROTIK + tlv(1, b"User") + PLACE + session + tlv(40, status.to_bytes(4, "big"))
    if status != START:
        body += tlv(46, since_s.to_bytes(4, "big")) + TRAFFIC
    body += more + tlv(32, b"BRAS-RB1") + tlv(4, b"\x0a\0\0\1") + tlv(DELAY_TIME, delay_s.to_bytes(4, "big"))
    return accounting_packet(body, identifier=identifier)


async def test_a_session_of_a_mikrotik_with_resent_records_is_on_disk_whole(tmp_path: Path) -> None:
    """RouterOS asks again with the same octets, or after a while with another delay, Identifier and authenticator."""
    start, interim = routeros(START, 1), routeros(INTERIM, 2, since_s=300)
    stop = [routeros(STOP, 3 + n, since_s=431, delay_s=3 * n, more=tlv(49, b"\0\0\0\2")) for n in range(3)]
    async with with_disk(tmp_path) as service:
        with Client(service.acct) as client:
            for request in (start, start, interim, *stop, stop[2]):
                check_response(await client.ask(request), request)
    records = stored(tmp_path)
    assert [record.attributes for record in records] == [request[20:] for request in (start, interim, *stop)]
    assert {record.nas_identifier for record in records} == {b"BRAS-RB1"}
    assert all(record.has_own_class for record in records)
    delays = [dict(attributes_of(bytes(20) + record.attributes))[DELAY_TIME] for record in records[2:]]
    assert delays == [delay.to_bytes(4, "big") for delay in (0, 3, 6)]


async def test_octets_swapped_comes_from_the_nas_entry(tmp_path: Path) -> None:
    small = tables()
    small.nases[:] = [nas_row(address="127.0.0.0/8", octets_swapped=True)]
    async with with_disk(tmp_path, small=small) as service:
        with Client(service.acct) as client:
            await client.ask(accounting_request())
    assert [record.octets_swapped for record in stored(tmp_path)] == [True]


# --- fairness -------------------------------------------------------------------------------------------------------


async def test_r3_3_accounting_never_keeps_a_login_waiting(tmp_path: Path) -> None:
    """Before a login is answered a look's worth of accounting is read, however much waits."""
    service = Service(tmp_path)
    read_before: list[int] = []
    answer = service.service._path.answer

    def noted(*datagram: Any) -> object:
        read_before.append(service.count(names.ACCOUNTING_RECEIVED))
        return answer(*datagram)

    service.service._path.answer = noted  # type: ignore[method-assign]
    count = 10 * accounting_port.LOOK_MAX
    with Client(service.acct) as flood, Client(service.auth) as client:
        flood.send(*(accounting_request(identifier=number) for number in range(count)))
        request = access_request()
        client.send(request)
        async with asyncio.TaskGroup() as group:
            group.create_task(service.service.run(service.stopping))
            assert checked(await client.receive(), request).code == 2
            await service.counted(names.ACCOUNTING_ANSWERED, count)
            service.stopping.set()
    assert read_before[0] <= 2 * accounting_port.LOOK_MAX
    service.close()


async def test_records_of_the_greatest_size_are_all_taken(tmp_path: Path) -> None:
    """More of them than go to the spool at once, into segments that hold few."""
    filler = b"".join(tlv(18, bytes(253)) for _ in range(15))
    requests = {number: accounting_request(identifier=number, attributes=filler) for number in range(20)}
    sent = sorted(request[20:] for request in requests.values())
    async with with_disk(tmp_path) as service:
        with Client(service.acct) as client:
            client.send(*requests.values())
            while requests:
                reply = await client.receive()
                check_response(reply, requests.pop(reply[1]))
        assert service.count(names.BUGS) == 0
    assert sorted(record.attributes for record in stored(tmp_path)) == sent


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, [(1, False)]),
        (accounting_port.POURING - 1, [(accounting_port.POURING - 1, False)]),
        (accounting_port.POURING, [(accounting_port.POURING, True)]),
        (2 * accounting_port.LOOK_MAX, [(2 * accounting_port.LOOK_MAX, True)]),
        (2 * accounting_port.LOOK_MAX + 3, [(2 * accounting_port.LOOK_MAX + 3, True)]),
        (accounting_port.TOGETHER_MAX + 3, [(accounting_port.TOGETHER_MAX, True), (3, False)]),
    ],
)
async def test_the_disk_is_told_that_more_comes_while_looks_find_many(
    tmp_path: Path, count: int, expected: list[tuple[int, bool]]
) -> None:
    service = Service(tmp_path)
    told: list[tuple[int, bool]] = []
    append_all = service.spool.append_all

    def noted(records: list[bytes], done: Callable[[bool], None], *, is_more_coming: bool) -> bool:
        told.append((len(records), is_more_coming))
        return bool(append_all(records, done))

    service.spool.append_all = noted
    with Client(service.acct) as client:
        client.send(*(accounting_request(identifier=number) for number in range(count)))
        async with asyncio.TaskGroup() as group:
            group.create_task(service.service.run(service.stopping))
            await service.counted(names.ACCOUNTING_ANSWERED, count)
            service.stopping.set()
    assert told == expected
    service.close()


async def test_records_that_wait_for_the_next_look_are_recorded_when_the_service_ends(tmp_path: Path) -> None:
    requests = [accounting_request(identifier=number) for number in range(accounting_port.LOOK_MAX)]
    async with with_disk(tmp_path) as service:
        port, listener = service.service._accounting, service.listeners[-1]
        await asyncio.sleep(0.1)  # it has opened its sockets
        asyncio.get_running_loop().remove_reader(listener.socket.fileno())
        with Client(service.acct) as client:
            client.send(*requests)
            await asyncio.sleep(0.1)
            assert port._read(listener) == len(requests)
            assert stored(tmp_path) == []
            port.close()
            await port.settle()
            assert {(await client.receive())[1] for _ in requests} == {request[1] for request in requests}
    assert len(stored(tmp_path)) == len(requests)


async def test_records_that_are_much_longer_than_their_datagrams_are_all_recorded(tmp_path: Path) -> None:
    """The NAS-Identifier stands in a record twice."""
    requests = [accounting_request(identifier=number, nas_identifier=b"n" * 253) for number in range(128)]
    async with with_disk(tmp_path) as service:
        with Client(service.acct) as client:
            client.send(*requests)
            assert {(await client.receive())[1] for _ in requests} == {request[1] for request in requests}
        assert service.count(names.BUGS) == 0
    assert len(stored(tmp_path)) == len(requests)


async def test_r3_3_a_record_amid_junk_does_not_wait_for_its_end(tmp_path: Path) -> None:
    request = accounting_request()
    async with with_disk(tmp_path) as service:
        port, listener = service.service._accounting, service.listeners[-1]
        await asyncio.sleep(0.1)  # it has opened its sockets
        asyncio.get_running_loop().remove_reader(listener.socket.fileno())
        with Client(service.acct) as client:
            client.send(request, *[b"junk"] * (2 * accounting_port.LOOK_MAX))
            await asyncio.sleep(0.1)
            assert port._read(listener) == accounting_port.LOOK_MAX
            check_response(await client.receive(), request)


async def test_a_bug_over_a_later_look_costs_no_record_of_the_looks_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, looks = accounting_port.receive, []

    def stumble(listener: Any, count_max: int, failed: Any) -> list[Any]:
        looks.append(count_max)
        if len(looks) == 2:
            raise ZeroDivisionError
        return real(listener, count_max, failed)

    requests = [accounting_request(identifier=number) for number in range(accounting_port.LOOK_MAX + 3)]
    async with with_disk(tmp_path) as service:
        monkeypatch.setattr(accounting_port, "receive", stumble)
        with Client(service.acct) as client:
            client.send(*requests)
            assert {(await client.receive())[1] for _ in requests} == {request[1] for request in requests}
    assert len(stored(tmp_path)) == len(requests)


async def test_what_one_sync_made_safe_is_answered_some_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounting_port, "_ANSWERS_AT_ONCE", 3)
    disk, sent = Disk(), []
    async with with_disk(tmp_path, disk) as service:
        sender = service.service._accounting._sender
        send = sender.send

        def noted(listener: Any, replies: list[Any]) -> None:
            sent.append(len(replies))
            send(listener, replies)

        sender.send = noted  # type: ignore[method-assign]
        with Client(service.acct) as client:
            await client.ask(accounting_request(identifier=200))
            disk.gate.clear()
            requests = {number: accounting_request(identifier=number) for number in range(20)}
            client.send(*requests.values())
            await service.counted(names.ACCOUNTING_RECEIVED, 21)
            disk.gate.set()
            while requests:
                reply = await client.receive()
                check_response(reply, requests.pop(reply[1]))
    assert max(sent) == 3


async def test_a_bug_in_answering_at_once_costs_no_record_of_the_same_look(tmp_path: Path) -> None:
    request = accounting_request()
    async with with_disk(tmp_path) as service:
        port = service.service._accounting
        send = port._sender.send

        def broken(*_: object) -> None:
            port._sender.send = send  # type: ignore[method-assign]
            raise RuntimeError("a bug")

        await asyncio.sleep(0.1)  # it has opened its sockets
        with Client(service.acct) as client:
            port._sender.send = broken  # type: ignore[method-assign]
            client.send(request, status_server())
            check_response(await client.receive(), request)
            assert service.count(names.BUGS) == 1
        assert port._path.in_work == 0


async def test_what_a_bug_keeps_from_the_spool_is_recorded_when_it_comes_again(tmp_path: Path) -> None:
    request = accounting_request()
    async with with_disk(tmp_path) as service:
        append_all = service.spool.append_all

        def broken(*_: object, **__: object) -> bool:
            service.spool.append_all = append_all
            raise RuntimeError("a bug")

        await asyncio.sleep(0.1)  # it has opened its sockets
        service.spool.append_all = broken
        with Client(service.acct) as client:
            client.send(request)
            await service.counted(names.BUGS, 1)
            assert service.service._accounting._path.in_work == 0
            check_response(await client.ask(request), request)
    assert len(stored(tmp_path)) == 1


async def test_a_bug_beside_the_datagrams_costs_its_look_and_not_the_port(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        port = service.service._accounting
        send = port._sender.send

        def broken(*_: object) -> None:
            port._sender.send = send  # type: ignore[method-assign]
            raise RuntimeError("a bug")

        with Client(service.acct) as client:
            port._sender.send = broken  # type: ignore[method-assign]
            client.send(status_server())
            await service.counted(names.BUGS, 1)
            request = accounting_request()
            check_response(await client.ask(request), request)


async def test_r3_2_a_disk_that_hangs_is_told_by_status_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "HANGS_AFTER_S", 0.05)
    disk, request = Disk(), accounting_request()
    async with with_disk(tmp_path, disk) as service:
        with Client(service.acct) as client:
            await client.ask(accounting_request(identifier=200))
            disk.gate.clear()
            client.send(request)
            async with asyncio.timeout(10):
                while service.spool.is_taking:
                    await asyncio.sleep(0.01)
            client.send(status_server())
            await service.counted(names.accounting_discarded(Discard.NOT_RECORDED), 1)
            disk.gate.set()
            check_response(await client.receive(), request)


# --- answers that leave together ------------------------------------------------------------------------------------


COUNT = 30  # records of each source


async def answered_after_one_sync(directory: Path, address: str = "127.0.0.1", *, state: bytes = b"s") -> Service:
    """Let the records of two sources, some with Proxy-State, become safe at once; each gets its own answer."""

    def request(number: int) -> bytes:
        states = number % 3 * tlv(33, state)
        return accounting_request(identifier=number, attributes=states)

    disk = Disk()
    async with with_disk(directory, disk, addresses=[address]) as service:
        with Client(service.acct) as one, Client(service.acct) as other:
            await one.ask(accounting_request(identifier=200))
            disk.gate.clear()
            asked = {client: [request(number) for number in range(COUNT)] for client in (one, other)}
            for client, requests in asked.items():
                client.send(*requests)
            await service.counted(names.ACCOUNTING_RECEIVED, 1 + 2 * COUNT)
            disk.gate.set()
            for client, requests in asked.items():
                replies = {reply[1]: reply for reply in [await client.receive() for _ in requests]}
                for sent in requests:
                    states = [(33, value) for kind, value in attributes_of(sent) if kind == 33]
                    assert check_response(replies[sent[1]], sent) == states
        await service.counted(names.ACCOUNTING_ANSWERED, 1 + 2 * COUNT)
    return service


def failing_together(monkeypatch: pytest.MonkeyPatch, number: int) -> list[int]:
    """Let sending together fail; returns how many datagrams were tried so."""
    tried: list[int] = []

    def fail(_: socket.socket, datagrams: list[bytes], *_source: object) -> None:
        tried.append(len(datagrams))
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(datagrams, "send_together", fail)
    return tried


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_answers_to_one_source_leave_by_one_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    sent: list[int] = []

    def noted(opened: socket.socket, datagrams: list[bytes], source: tuple[Any, ...]) -> None:
        sent.append(len(datagrams))
        send_together(opened, datagrams, source)

    monkeypatch.setattr(datagrams, "send_together", noted)
    service = await answered_after_one_sync(tmp_path, address)
    assert sum(sent) > COUNT
    assert max(sent) <= TOGETHER_MAX
    assert service.count(names.SEND_FAILED) == 0


async def test_where_the_way_takes_no_answers_together_they_leave_one_by_one_from_now_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = failing_together(monkeypatch, errno.EIO)
    service = await answered_after_one_sync(tmp_path)
    assert len(tried) == 1
    assert service.count(names.SEND_FAILED) == 0


async def test_answers_that_may_not_fit_the_way_leave_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = failing_together(monkeypatch, errno.ENOBUFS)
    await answered_after_one_sync(tmp_path, state=bytes(253))
    assert COUNT < sum(tried) <= 2 * COUNT * 2 // 3  # a third of the answers have two


async def test_a_passing_trouble_is_no_reason_to_send_one_by_one_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = failing_together(monkeypatch, errno.ENOBUFS)
    await answered_after_one_sync(tmp_path)
    assert len(tried) > 1


async def test_a_kernel_that_would_make_one_datagram_of_many_is_not_asked_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as unknowing:
        assert not can_send_together(unknowing)
    tried = failing_together(monkeypatch, errno.EIO)
    monkeypatch.setattr(datagrams, "can_send_together", lambda _: False)
    await answered_after_one_sync(tmp_path)
    assert tried == []


# --- the end --------------------------------------------------------------------------------------------------------


async def test_a_service_that_ends_answers_what_it_has_taken_in(tmp_path: Path) -> None:
    disk = Disk()
    request = accounting_request()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nas:
        nas.settimeout(5)
        async with with_disk(tmp_path, disk) as service:
            nas.connect(service.acct)
            nas.send(accounting_request(identifier=1))
            await asyncio.to_thread(nas.recv, 4096)
            disk.gate.clear()
            nas.send(request)
            await service.counted(names.ACCOUNTING_RECEIVED, 2)
            service.stopping.set()
            await asyncio.sleep(0.1)
            disk.gate.set()
        check_response(await asyncio.to_thread(nas.recv, 4096), request)


_KILLED = """
import asyncio, os, signal, socket, sys
from pathlib import Path
sys.path[:0] = sys.argv[3:]
from radius_service import Listener, RadiusService, Lines, Recorder
from aaad.metrics import CounterFile
from aaad.radius import counters as names
from aaad.replica.store import ReplicaReader
from aaad.spool.writer import SpoolWriter
directory, when = Path(sys.argv[1]), sys.argv[2]
armed = directory / "armed"
def die():
    if armed.exists():
        os.kill(os.getpid(), signal.SIGKILL)
def write(descriptor, data, offset):
    if when == "before the write": die()
    return os.pwrite(descriptor, data, offset)
def sync(descriptor):
    if when == "before the sync": die()
    os.fdatasync(descriptor)
    if when == "before the answer": die()
place = directory / "spool" / "radius-0"
spool = SpoolWriter(place, segment_bytes=1 << 16, bytes_max=1 << 30, write=write, sync=sync)
spool.start()
acct = socket.socket(fileno=0)
acct.setblocking(False)
service = RadiusService(
    listeners=[Listener(acct, "127.0.0.1", True)], replica=ReplicaReader(directory / "replica"), journal=Recorder(),
    spool=spool, counters=CounterFile(directory / "radius-0.cnt", names.RADIUS_COUNTERS), log=Lines(), slot=0,
    peers_max=100, reject_messages={},
)
asyncio.run(service.run(asyncio.Event()))
"""


@pytest.mark.parametrize("when", ["before the write", "before the sync", "before the answer"])
def test_a_process_killed_between_record_and_answer_loses_nothing_that_was_answered(
    tmp_path: Path, when: str
) -> None:
    """The supervisor holds the socket, the NAS asks again, and the successor records what was not answered."""
    Service(tmp_path).close()
    here = Path(__file__).resolve().parents[1]
    paths = [str(here), str(here / "integration"), *filter(None, sys.path)]

    def begin(served: socket.socket) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", _KILLED, str(tmp_path), when, *paths]
        return subprocess.Popen(command, stdin=served.fileno(), stderr=subprocess.DEVNULL)

    first, killed, later = (accounting_request(identifier=number) for number in range(3))
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as served,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nas,
    ):
        served.bind(("127.0.0.1", 0))
        nas.connect(served.getsockname())
        nas.settimeout(20)
        process = begin(served)
        try:
            nas.send(first)
            check_response(nas.recv(4096), first)
            (tmp_path / "armed").touch()
            nas.send(killed)
            assert process.wait(20) == -signal.SIGKILL
            (tmp_path / "armed").unlink()
            process = begin(served)
            nas.send(killed)
            check_response(nas.recv(4096), killed)
            nas.send(later)
            check_response(nas.recv(4096), later)
        finally:
            process.kill()
            process.wait(20)
    recorded = [record.attributes for record in stored(tmp_path)]
    twice = (
        when == "before the answer" or recorded.count(killed[20:]) == 2
    )  # the kernel may have kept unsynced octets
    assert recorded == [request[20:] for request in (first, *[killed] * (2 if twice else 1), later)]


# --- a disk that fails ----------------------------------------------------------------------------------------------


class Sync:
    """The other end of a hand-over, that says yes or no as the test wants."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.commits = True
        self.taken: list[bytes] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as file:
                while head := file.read(LENGTH_OCTETS):
                    handoff = decode_handoff(file.read(message_length(head)))
                    if self.commits:
                        self.taken += handoff.records
                    connection.sendall(encode_message(HandoffAnswer(handoff.number, self.commits)))

    def accounting(self) -> list[bytes]:
        """The attributes of the accounting records that were committed."""
        records = [record_decoder.decode(octets) for octets in self.taken]
        return [record.attributes for record in records if isinstance(record, Accounting)]

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def sync(tmp_path: Path) -> Iterator[Sync]:
    made = Sync(tmp_path / "sync.sock")
    yield made
    made.close()


async def test_r6_2_what_waits_on_a_failed_sync_is_answered_from_another_segment(tmp_path: Path) -> None:
    disk = Disk()
    requests = [accounting_request(identifier=number) for number in range(3)]
    async with with_disk(tmp_path, disk) as service:
        with Client(service.acct) as client:
            check_response(await client.ask(requests[0]), requests[0])
            disk.sync_error, disk.sync_errors_left = errno.EIO, 1
            for request in requests[1:]:
                check_response(await client.ask(request), request)
    assert [record.attributes for record in stored(tmp_path)] == [request[20:] for request in requests]
    assert (tmp_path / "spool" / "radius-0" / "0000000002.segment").exists()


async def test_r6_3_with_the_disk_gone_postgresql_is_asked_and_silence_comes_only_when_both_fail(
    tmp_path: Path, sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "IDLE_S", 0.02)
    disk = Disk()
    first, handed_over, refused, last = (accounting_request(identifier=number) for number in range(4))
    async with with_disk(tmp_path, disk, handoff=sync.path) as service:
        with Client(service.acct) as client:
            check_response(await client.ask(first), first)
            disk.sync_error = errno.EIO
            check_response(await client.ask(handed_over), handed_over)
            assert sync.accounting() == [handed_over[20:]]
            status = status_server()
            assert checked(await client.ask(status), status).code == 5
            sync.commits = False
            client.send(refused)
            await service.counted(names.accounting_discarded(Discard.NOT_RECORDED), 1)
            assert await client.is_silent(0.05)
            client.send(status_server())
            await service.counted(names.accounting_discarded(Discard.NOT_RECORDED), 2)
            sync.commits = True  # PostgreSQL is back: told without any record
            await taking(service)
            check_response(await client.ask(refused), refused)
            disk.sync_error = None
            check_response(await client.ask(last), last)
    everywhere = [*sync.accounting(), *(record.attributes for record in stored(tmp_path))]
    assert sorted(everywhere) == sorted(request[20:] for request in (first, handed_over, refused, last))


async def test_r6_3_with_the_disk_gone_a_session_stands_in_postgresql_before_its_start_is_answered(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "IDLE_S", 0.05)
    house = House(dsn, tmp_path / "drained")
    await house.database.execute("INSERT INTO net.node (name) VALUES ($1)", NODE)
    await house.database.execute("INSERT INTO erp.branch (id, name) VALUES (1, 'B')")
    await house.database.execute(
        "INSERT INTO net.nas (id, name, address, secret) VALUES (1, 'n', '127.0.0.0/8', $1)", SECRET.decode()
    )
    path = tmp_path / "sync.sock"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(8)
    disk, stopping = Disk(), asyncio.Event()
    disk.sync_error = errno.EIO
    async with asyncio.TaskGroup() as group:
        server = HandoffServer(house.connect(), listener, node=NODE, counters=house.counters)
        group.create_task(server.run(stopping))
        async with with_disk(tmp_path, disk, handoff=path) as service:
            await taking(service)  # sync was asked by a batch of nothing
            with Client(service.acct) as client:
                request = accounting_request()
                check_response(await client.ask(request), request)
                rows = await house.database.fetch("SELECT acct_session_id, nas_id FROM net.session")
                assert [tuple(row) for row in rows] == [("81a00001", 1)]
                status = status_server()
                assert checked(await client.ask(status), status).code == 5
        stopping.set()
    listener.close()
    await house.database.close()


async def test_r3_2_a_spool_that_takes_nothing_shows_without_any_traffic(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "IDLE_S", 0.02)
    disk = Disk()
    disk.sync_error = errno.EIO
    async with with_disk(tmp_path, disk) as service:
        with Client(service.acct) as client:
            client.send(accounting_request())
            await service.counted(names.accounting_discarded(Discard.NOT_RECORDED), 1)
            client.send(status_server())
            await service.counted(names.accounting_discarded(Discard.NOT_RECORDED), 2)
            assert await client.is_silent(0.05)
            disk.sync_error = None
            await taking(service)
            request = status_server()
            assert checked(await client.ask(request), request).code == 5
        with Client(service.auth) as client:
            request = access_request()
            assert checked(await client.ask(request), request).code == 2


async def taking(service: Service) -> None:
    """Wait until the spool says that it takes records again."""
    async with asyncio.timeout(10):
        while not service.spool.is_taking:
            await asyncio.sleep(0.01)


async def test_a_spool_without_room_refuses_at_once_and_the_nas_asks_again(tmp_path: Path) -> None:
    request = accounting_request()
    async with running(tmp_path) as service:
        with Client(service.acct) as client:
            service.spool.is_full = True
            client.send(request)
            await service.counted(names.accounting_discarded(Discard.NOT_RECORDED), 1)
            service.spool.is_full = False
            check_response(await client.ask(request), request)


_FULL_DISK = """
import asyncio, sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
import test_accounting_port as this
from accounting_world import accounting_request, check_response, INTERIM
from radius_service import Client
from aaad.radius import counters as names
async def main(directory):
    answered = []
    filler = (directory / "filler").open("wb", buffering=0)
    async with this.with_disk(directory) as service:
        with Client(service.acct, timeout_s=0.3) as client:
            async def ask(number):
                request = accounting_request(INTERIM, identifier=number % 256)
                try:
                    check_response(await client.ask(request), request)
                except TimeoutError:
                    return False
                answered.append(request[20:])
                return True
            assert await ask(0)
            try:
                while True:
                    filler.write(bytes(4096))
            except OSError:
                pass
            results = []
            number = 1
            while number < 2000 and (not results or results[-1]):
                results.append(await ask(number)); number += 1
            assert not results[-1], "a full disk takes everything"
            filler.truncate(0); filler.close()
            async with asyncio.timeout(10):
                while not await ask(number):
                    number += 1
    recorded = [record.attributes for record in this.stored(directory)]
    missing = [one for one in answered if one not in recorded]
    assert not missing, f"{len(missing)} answered records are not on the disk"
    print("ok", len(answered), "of", number)
asyncio.run(main(Path(sys.argv[1])))
"""


def test_a_disk_that_fills_and_empties_again_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    """A real file system of 2 MiB, in a mount namespace of its own."""
    mount = f'mount -t tmpfs -o size=2m none "{tmp_path}" && exec "$@"'
    flags = ["-m"] if os.getuid() == 0 else ["-r", "-m"]
    mounted = subprocess.run(["unshare", *flags, "sh", "-c", mount, "sh", "true"], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no mount namespace of our own here, a full file system is NOT tested: {mounted.stderr!r}")
    here = Path(__file__).resolve().parents[1]
    paths = [str(here), str(here / "integration"), *filter(None, sys.path)]
    command = ["unshare", *flags, "sh", "-c", mount, "sh", sys.executable, "-c", _FULL_DISK, str(tmp_path), *paths]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("ok")


# --- no reference cycles --------------------------------------------------------------------------------------------


def kinds_of_datagrams() -> dict[str, Callable[[int], bytes]]:
    """One maker of each kind of datagram, by a number."""
    copy = accounting_request(identifier=255)
    return {
        "start": lambda number: accounting_request(identifier=number),
        "interim": lambda number: accounting_request(INTERIM, identifier=number, attributes=own_class()),
        "restart": lambda number: accounting_request(ON, session=None, identifier=number),
        "copy": lambda _: copy,
        "proxied": lambda number: accounting_request(identifier=number, attributes=tlv(33, b"s")),
        "unrecordable": lambda number: accounting_request(9, identifier=number),
        "malformed": lambda number: accounting_request(identifier=number)[:-1],
        "bad authenticator": lambda number: accounting_request(identifier=number, secret=b"other"),
        "Status-Server": lambda number: status_server(identifier=number),
        "another code": lambda number: access_request(identifier=number),
    }


@pytest.mark.parametrize("refuses", [False, True])
def test_the_accounting_port_makes_no_reference_cycles(tmp_path: Path, refuses: bool) -> None:
    """Its process runs without the cycle collector."""
    disk = Disk()
    spool = SpoolWriter(
        tmp_path / "spool", segment_bytes=1 << 20, bytes_max=1 << 30, write=disk.write, sync=disk.sync
    )
    spool.start()
    service = Service(tmp_path, spool=spool)
    port, listener = service.service._accounting, service.listeners[-1]
    garbage: dict[str, int] = {}

    async def life() -> None:
        service.service._chore(0.0)  # the tables
        port.open(listener)
        with Client(service.acct) as client:
            for turn in range(2):
                for kind, make in kinds_of_datagrams().items():
                    datagrams = [make(number) for number in range(100)]
                    read = service.count(names.ACCOUNTING_RECEIVED) + len(datagrams)
                    gc.collect()
                    gc.freeze()
                    client.send(*datagrams)
                    while service.count(names.ACCOUNTING_RECEIVED) < read or port._path.in_work:
                        await asyncio.sleep(0.002)
                    if turn:
                        garbage[kind] = gc.collect()
        port.close()

    try:
        gc.disable()
        if refuses:
            disk.sync_error = errno.EIO
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(life())
    finally:
        gc.unfreeze()
        gc.enable()
        spool.stop(10)
        service.close()
    recorded = service.count(names.accounting_record("start"))
    not_recorded = service.count(names.accounting_discarded(Discard.NOT_RECORDED))
    assert (not_recorded > 300) if refuses else (recorded > 300)
    assert garbage == dict.fromkeys(kinds_of_datagrams(), 0)
