"""The radius service over real UDP and a real replica: answers, silence, waiting, trouble, and its end."""

import asyncio
import gc
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvloop
from mschap_peer import attributes_2, nt_hash
from nas_double import (
    FRAMED_IP,
    PROXY_STATE,
    SECRET,
    access_request,
    chap,
    checked,
    fresh_authenticator,
    packet,
    status_server,
    tlv,
)
from radius_service import (
    IN_ORDER,
    LOGINS,
    Client,
    Service,
    login,
    running,
    tables,
    write_replica,
    write_replica_elsewhere,
)

from aaad.errors import StoreError
from aaad.metrics import CounterFile
from aaad.policy.codes import AccessStatus, Discard, LoginFlag, Reason
from aaad.policy.facts import LoginExtras, LoginFacts
from aaad.policy.grant import Decision, Grant
from aaad.radius import counters as names
from aaad.radius import datagrams, server
from aaad.radius.datagrams import send_together
from aaad.radius.request import Pending
from aaad.radius.server import Watchdog
from aaad.replica.record import AdministratorRow, ParameterRow, encode, encode_damaged
from aaad.spool.records import LoginRefused, NameRefused, RouterSeen

# --- answers --------------------------------------------------------------------------------------------------------


async def test_a_login_is_answered_and_everything_is_counted(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        with Client(service.auth) as client:
            request = access_request()
            reply = checked(await client.ask(request), request)
            assert (reply.code, reply[FRAMED_IP]) == (2, b"\xc0\0\x02\x01")
            assert await client.ask(request)
            refused = access_request(password=b"wrong", identifier=8)
            assert checked(await client.ask(refused), refused).code == 3
    assert [service.count(name) for name in (names.RECEIVED, names.ANSWERED, names.RESENT)] == [3, 3, 1]
    assert (service.count(Reason.GRANTED), service.count(Reason.WRONG_PASSWORD)) == (1, 1)
    buckets = [service.count(name) for name in names.RADIUS_COUNTERS if name.startswith(names.ANSWER_SECONDS)]
    assert sum(buckets) == 3
    assert [subject for subject, _, _ in service.journal] == [1, 1]


async def test_ipv6_is_answered(tmp_path: Path) -> None:
    async with running(tmp_path, addresses=["::1"]) as service:
        with Client(service.auth) as client:
            request = access_request()
            assert checked(await client.ask(request), request).code == 2


async def test_r3_2_status_server_is_answered_where_requests_are(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        with Client(service.auth) as auth, Client(service.acct) as acct:
            request = status_server()
            assert checked(await auth.ask(request), request).code == 2
            assert checked(await acct.ask(request), request).code == 5
            service.spool.is_taking = False
            acct.send(request, access_request())
            assert await acct.is_silent()
            await service.counted(names.accounting_discarded(Discard.NOT_RECORDED), 1)
            await service.counted(names.accounting_discarded(Discard.CODE_NOT_SERVED), 1)
            assert checked(await auth.ask(request), request).code == 2, "each port for itself"
        await service.counted(names.ACCOUNTING_STATUS, 1)
    assert service.count(names.STATUS) == 2


async def test_the_watchdog_is_known_without_any_nas(tmp_path: Path) -> None:
    probe = Client(("127.0.0.1", 9))
    watchdog = Watchdog((probe.socket.getsockname(),), b"the supervisor's own")
    assert "supervisor" not in repr(watchdog)
    nobody = tables()
    nobody.nases.clear()
    async with running(tmp_path, small=nobody, watchdog=watchdog) as service:
        with probe, Client(service.auth) as other:
            probe.socket.connect(service.auth)
            request = status_server(secret=b"the supervisor's own")
            assert checked(await probe.ask(request), request, b"the supervisor's own").code == 2
            other.send(status_server(secret=b"the supervisor's own"))
            await service.counted(Discard.UNKNOWN_NAS, 1)


async def test_debians_radclient_believes_the_answers(tmp_path: Path) -> None:
    radclient = shutil.which("radclient")
    if radclient is None:
        pytest.skip("radclient is missing: Debian's freeradius-utils has it")

    def ask(kind: str, attributes: str) -> str:
        command = [radclient, "-x", "-r", "1", "-t", "2", f"127.0.0.1:{service.auth[1]}", kind, SECRET.decode()]
        done = subprocess.run(command, input=attributes, capture_output=True, text=True, timeout=20, check=False)
        return done.stdout + done.stderr

    async with running(tmp_path) as service:
        signed = ', Message-Authenticator = 0x00, NAS-Identifier = "bras"'
        told = await asyncio.to_thread(ask, "auth", 'User-Name = "ALICE", User-Password = "wonderland"' + signed)
        assert "Received Access-Accept" in told
        assert "Framed-IP-Address = 192.0.2.1" in told
        assert 'Mikrotik-Rate-Limit = "25M/50M"' in told
        told = await asyncio.to_thread(ask, "auth", 'User-Name = "alice", User-Password = "wrong"' + signed)
        assert "Received Access-Reject" in told
        assert "User name or password is wrong." in told
        told = await asyncio.to_thread(ask, "status", "Message-Authenticator = 0x00")
        assert "Received Access-Accept" in told


async def test_r2_6_the_local_address_that_a_router_speaks_to_is_told(tmp_path: Path) -> None:
    async with running(tmp_path, addresses=["127.0.0.1", "127.0.0.2"]) as service:
        for listener, identifier in zip(service.listeners, (b"bras-01", b"bras-02"), strict=False):
            with Client(listener.socket.getsockname()) as client:
                await client.ask(access_request(nas_identifier=identifier))
    seen = {record.nas_identifier: record.local_address for record in service.spool if isinstance(record, RouterSeen)}
    assert seen == {b"bras-01": "127.0.0.1", b"bras-02": "127.0.0.2"}


# --- the replica ----------------------------------------------------------------------------------------------------


async def test_r3_1_without_a_replica_there_is_silence_until_it_comes(tmp_path: Path) -> None:
    async with running(tmp_path, logins=None) as service:
        with Client(service.auth) as client:
            client.send(access_request(), status_server())
            await service.counted(Discard.NO_REPLICA, 2)
            write_replica(service.replica_directory, LOGINS, tables())
            request = access_request()
            assert checked(await client.ask(request), request).code == 2


async def test_new_tables_and_logins_hold_from_the_next_wake_up(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        with Client(service.auth) as client:
            assert await client.ask(access_request())
            carol = {b"carol": encode(login(3))}
            new = tables(secret=b"new secret", generation=2)
            await asyncio.to_thread(write_replica_elsewhere, service.replica_directory, carol, new)
            client.send(access_request(identifier=1))
            await service.counted(Discard.BAD_MESSAGE_AUTHENTICATOR, 1)
            for name, code in ((b"alice", 3), (b"carol", 2)):
                request = access_request(name, secret=b"new secret", identifier=code)
                assert checked(await client.ask(request), request, b"new secret").code == code


async def test_a_replica_that_becomes_unreadable_is_silence_and_not_unknown_logins(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        with Client(service.auth) as client:
            assert await client.ask(access_request())
            shutil.rmtree(service.replica_directory)
            service.replica.close()
            client.send(access_request(b"mallory", identifier=1))
            await service.counted(Discard.NO_REPLICA, 1)
    assert service.count(Reason.UNKNOWN_LOGIN) == 0


async def test_a_damaged_record_costs_its_login_only(tmp_path: Path) -> None:
    async with running(tmp_path, logins={**LOGINS, b"eve": encode_damaged(9)}) as service:
        with Client(service.auth) as client:
            for name, code in ((b"eve", 3), (b"alice", 2)):
                request = access_request(name, identifier=code)
                assert checked(await client.ask(request), request).code == code
    assert service.count(Reason.RECORD_DAMAGED) == 1


# --- bad input ------------------------------------------------------------------------------------------------------


async def test_datagrams_of_any_size_are_survived(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        with Client(service.auth) as client:
            request = access_request()
            client.send(b"", b"\x01", bytes(4096), bytes(4097), bytes(65_507), b"\x01\x01\x10\x01" + bytes(4093))
            await service.counted(Discard.MALFORMED, 6)
            assert checked(await client.ask(request + bytes(4096 - len(request))), request).code == 2
            request = access_request(identifier=9)
            assert checked(await client.ask(request + bytes(60_000)), request).code == 2
    assert service.count(names.BUGS) == 0


async def test_the_longest_request_is_answered_with_every_proxy_state(tmp_path: Path) -> None:
    bare = access_request(b"bob")
    states = tlv(PROXY_STATE, b"s" * 253) * ((4096 - len(bare)) // 255)
    request = access_request(b"bob", attributes=states)
    async with running(tmp_path) as service:
        with Client(service.auth) as client:
            reply = checked(await client.ask(request), request)
    assert len(reply.all(PROXY_STATE)) == len(states) // 255
    assert service.count(names.SEND_FAILED) == 0


async def test_a_flood_of_garbage_is_counted_by_cause_and_logged_at_a_bounded_rate(tmp_path: Path) -> None:
    kinds = [b"garbage", access_request(secret=b"other"), packet(43, 1, bytes(16), b"")]
    async with running(tmp_path) as service:
        with Client(service.auth) as client:
            began_s = time.monotonic()
            for _ in range(10):
                client.send(*kinds * 10)
                await asyncio.sleep(0.01)
            for cause in (Discard.MALFORMED, Discard.BAD_MESSAGE_AUTHENTICATOR, Discard.CODE_NOT_SERVED):
                await service.counted(cause, 100)
            seconds = time.monotonic() - began_s
            request = access_request()
            assert checked(await client.ask(request), request).code == 2
    lines = service.log.events("datagram.discarded")
    assert 15 <= len(lines) <= 15 * (int(seconds) + 2)
    assert {line["cause"] for line in lines} == {"malformed", "bad_message_authenticator", "code_not_served"}
    assert all(line["source"] == "127.0.0.1" for line in lines)


async def test_a_bug_costs_the_request_that_met_it_only(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        service.journal.broken_for = 2
        with Client(service.auth) as client:
            requests = [access_request(name, identifier=n) for n, name in enumerate((b"alice", b"bob", b"alice"))]
            client.send(*requests)
            for request in (requests[0], requests[2]):
                assert checked(await client.receive(), request).code == 2
            assert await client.is_silent()
    assert (service.count(names.BUGS), service.count(Discard.BUG)) == (1, 1)
    assert len(service.log.events("bug")) == 1


async def test_a_full_spool_is_counted_and_costs_no_answer(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        service.spool.is_full = True
        with Client(service.auth) as client:
            assert await client.ask(access_request(password=b"wrong"))
    assert service.count(names.SPOOL_REFUSED) == 2  # the router seen, and the refusal
    assert service.spool == []


# --- lateness -------------------------------------------------------------------------------------------------------


async def test_r3_3_lateness_counts_from_the_kernels_receipt(tmp_path: Path) -> None:
    async with running(tmp_path, small=tables(deadline_ms=200)) as service:
        with Client(service.auth) as client:
            assert await client.ask(access_request())
            late, status = access_request(identifier=1), status_server()
            client.send(late, status)
            time.sleep(0.3)  # the loop is kept from its work, as by a long pause of the machine
            in_time = access_request(identifier=2)
            client.send(in_time)
            assert checked(await client.receive(), in_time).code == 2
            await service.counted(Discard.LATE, 2)
            client.send(late)
            await service.counted(Discard.LATE, 3)


# --- waiting --------------------------------------------------------------------------------------------------------


def alice_waits(facts: LoginFacts, _: Grant) -> bool:
    """Which grants have to be claimed in these tests."""
    return facts.login_id == 1


class Claims:
    """Settles what waits, as the test says; remembers each batch."""

    def __init__(self, settle: Callable[[LoginFacts, Grant], Decision | None] | Exception | None = None) -> None:
        self.settle = settle
        self.batches: list[list[int]] = []
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def __call__(self, batch: Sequence[Pending], _: object) -> list[Decision | None]:
        self.batches.append([pending.login.login_id for pending in batch])
        await self.go_on.wait()
        if isinstance(self.settle, Exception):
            raise self.settle
        settle = self.settle or (lambda _, grant: Decision(Reason.GRANTED, grant._replace(ipv4=0xC00002FE), 0.0))
        return [settle(pending.login, pending.decision.grant) for pending in batch]


async def test_what_waits_is_answered_when_it_is_claimed_and_nobody_waits_for_it(tmp_path: Path) -> None:
    claims = Claims()
    claims.go_on.clear()
    async with running(tmp_path, claim=claims, must_wait=alice_waits) as service:
        with Client(service.auth) as client, Client(service.auth) as other:
            request = access_request()
            client.send(request)
            await service.counted(names.PENDING, 1)
            quick = access_request(b"bob")
            assert checked(await other.ask(quick), quick).code == 2
            client.send(request)
            await service.counted(Discard.DUPLICATE_IN_WORK, 1)
            claims.go_on.set()
            reply = await client.receive()
            assert checked(reply, request)[FRAMED_IP] == b"\xc0\0\x02\xfe"
            assert await client.ask(request) == reply
    assert claims.batches == [[1]]
    assert service.count(Reason.GRANTED) == 2


async def test_all_that_waits_is_claimed_together(tmp_path: Path) -> None:
    claims = Claims()
    claims.go_on.clear()
    async with running(tmp_path, claim=claims, must_wait=lambda *_: True) as service:
        with Client(service.auth) as client:
            client.send(access_request(identifier=0))
            await service.counted(names.PENDING, 1)
            client.send(*(access_request(identifier=number) for number in range(1, 21)))
            await service.counted(names.PENDING, 21)
            claims.go_on.set()
            replies = {(await client.receive())[1] for _ in range(21)}
    assert replies == set(range(21))
    assert [len(batch) for batch in claims.batches] == [1, 20]


async def test_what_is_claimed_may_be_refused(tmp_path: Path) -> None:
    claims = Claims(lambda *_: Decision(Reason.PLAN_MISSING, None, 0.0))
    async with running(tmp_path, claim=claims, must_wait=alice_waits) as service:
        with Client(service.auth) as client:
            request = access_request()
            assert checked(await client.ask(request), request).code == 3
    assert service.count(Reason.PLAN_MISSING) == 1


FAILING_CLAIMS: dict[str, tuple[object, str]] = {
    "cannot be had": (lambda *_: None, "nothing"),
    "PostgreSQL is away": (StoreError("away"), "claims.impossible"),
    "time is over": (TimeoutError(), "claims.impossible"),
    "a bug": (RuntimeError("a bug"), "bug"),
}


@pytest.mark.parametrize(("settle", "event"), FAILING_CLAIMS.values(), ids=FAILING_CLAIMS.keys())
async def test_r3_1_a_claim_that_fails_is_silence_and_a_copy_tries_again(
    tmp_path: Path, settle: object, event: str
) -> None:
    claims = Claims(settle)
    async with running(tmp_path, claim=claims, must_wait=alice_waits) as service:
        with Client(service.auth) as client:
            request = access_request()
            client.send(request)
            await service.counted(Discard.CLAIM_IMPOSSIBLE, 1)
            assert await client.is_silent()
            claims.settle = None
            assert checked(await client.ask(request), request).code == 2
    assert claims.batches == [[1], [1]]
    assert service.count(names.BUGS) == (event == "bug")
    assert event == "nothing" or len(service.log.events(event)) == 1


async def test_a_claim_that_answers_for_too_few_is_a_bug_that_costs_its_batch(tmp_path: Path) -> None:
    async def claim(*_: object) -> list[Decision | None]:
        return []

    async with running(tmp_path, claim=claim, must_wait=alice_waits) as service:
        with Client(service.auth) as client:
            client.send(access_request())
            await service.counted(Discard.CLAIM_IMPOSSIBLE, 1)
            assert await client.ask(access_request(b"bob"))
    assert service.count(names.BUGS) == 1


async def test_a_bug_in_one_that_waited_costs_it_only(tmp_path: Path) -> None:
    claims = Claims()
    claims.go_on.clear()
    async with running(tmp_path, claim=claims, must_wait=lambda *_: True) as service:
        service.journal.broken_for = 2
        with Client(service.auth) as client:
            client.send(access_request(b"alice", identifier=0))
            await service.counted(names.PENDING, 1)
            client.send(access_request(b"bob", identifier=1), access_request(b"alice", identifier=2))
            await service.counted(names.PENDING, 3)
            claims.go_on.set()
            assert {(await client.receive())[1] for _ in range(2)} == {0, 2}
    assert (service.count(names.BUGS), service.count(Discard.BUG)) == (1, 1)


async def test_a_frozen_claim_is_given_up_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_CLAIM_LIMIT_S", 0.2)
    claims = Claims()
    claims.go_on.clear()
    async with running(tmp_path, claim=claims, must_wait=alice_waits) as service:
        with Client(service.auth) as client:
            client.send(access_request())
            await service.counted(Discard.CLAIM_IMPOSSIBLE, 1)
            claims.go_on.set()
            assert await client.is_silent()


async def test_r3_3_what_was_claimed_too_late_is_not_answered(tmp_path: Path) -> None:
    claims = Claims()
    claims.go_on.clear()
    async with running(tmp_path, small=tables(deadline_ms=200), claim=claims, must_wait=alice_waits) as service:
        with Client(service.auth) as client:
            client.send(access_request(identifier=1))
            await service.counted(names.PENDING, 1)
            client.send(access_request(identifier=2))
            await service.counted(names.PENDING, 2)
            await asyncio.sleep(0.25)
            claims.go_on.set()
            await service.counted(Discard.LATE, 2)
            assert await client.is_silent(0.1)
    assert claims.batches == [[1]], "what is late already is claimed no more"


async def test_what_the_nas_no_longer_asks_for_is_not_answered(tmp_path: Path) -> None:
    claims = Claims()
    claims.go_on.clear()
    async with running(tmp_path, claim=claims, must_wait=alice_waits) as service:
        with Client(service.auth) as client:
            client.send(access_request(identifier=1))
            await service.counted(names.PENDING, 1)
            newer = access_request(b"bob", identifier=1)
            assert checked(await client.ask(newer), newer).code == 2
            claims.go_on.set()
            await service.counted(Discard.LATE, 1)
            assert await client.is_silent(0.1)


async def test_waiting_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_CLAIMS_WAITING_MAX", 2)
    claims = Claims()
    claims.go_on.clear()
    async with running(tmp_path, claim=claims, must_wait=alice_waits) as service:
        with Client(service.auth) as client:
            client.send(access_request(identifier=0))
            await service.counted(names.PENDING, 1)
            await asyncio.sleep(0.05)
            requests = [access_request(identifier=number) for number in range(1, 4)]
            client.send(*requests)
            await service.counted(Discard.OVERLOAD, 1)
            claims.go_on.set()
            assert {(await client.receive())[1] for _ in range(3)} == {0, 1, 2}
            assert checked(await client.ask(requests[2]), requests[2]).code == 2


async def test_without_anybody_to_claim_there_is_silence(tmp_path: Path) -> None:
    async with running(tmp_path, must_wait=alice_waits) as service:
        with Client(service.auth) as client:
            client.send(access_request())
            await service.counted(Discard.CLAIM_IMPOSSIBLE, 1)
            assert await client.is_silent()


# --- the end --------------------------------------------------------------------------------------------------------


async def test_stopping_answers_what_waits_and_hands_over_what_was_learned(tmp_path: Path) -> None:
    claims = Claims()
    claims.go_on.clear()
    async with asyncio.timeout(5), running(tmp_path, claim=claims, must_wait=alice_waits) as service:
        client = Client(service.auth)
        await client.ask(access_request(b"bob", b"wrong", identifier=1))
        await client.ask(access_request(b"mallory", identifier=2))
        first, second = access_request(identifier=3), access_request(identifier=4)
        client.send(first)
        await service.counted(names.PENDING, 1)
        client.send(second)
        await service.counted(names.PENDING, 2)
        service.stopping.set()
        await asyncio.sleep(0.05)
        client.send(access_request(b"bob", identifier=5))
        claims.go_on.set()
    with client:
        assert [checked(await client.receive(), request).code for request in (first, second)] == [2, 2]
        assert await client.is_silent(0.1), "what came after is the successor's"
    minute = int(time.time() // 60)
    assert LoginRefused(2, "wrong_password", minute, 1) in service.spool
    assert any(isinstance(record, NameRefused) for record in service.spool)


async def test_what_arrives_while_nobody_reads_is_answered_by_the_successor(tmp_path: Path) -> None:
    service = Service(tmp_path)
    with Client(service.auth) as client:
        request = access_request()
        client.send(request)
        async with asyncio.TaskGroup() as group:
            group.create_task(service.service.run(service.stopping))
            assert checked(await client.receive(), request).code == 2
            service.stopping.set()
    service.close()


async def test_counts_of_routers_are_written_for_the_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_STATISTICS_EVERY_S", 0.1)
    async with running(tmp_path) as service:
        with Client(service.auth) as client:
            await client.ask(access_request())
            async with asyncio.timeout(8):
                while not service.statistics_path.exists() or not json.loads(service.statistics_path.read_text()):
                    await asyncio.sleep(0.05)
    (row,) = json.loads(service.statistics_path.read_text())
    assert (row["nas_id"], row["nas_identifier"], row["armed"], row["granted"]) == (1, "bras-01", False, 1)


async def test_a_disk_that_takes_no_statistics_is_told_and_is_no_bug(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_TICK_S", 0.01)
    monkeypatch.setattr(server, "_STATISTICS_EVERY_S", 0.01)
    async with running(tmp_path) as service:
        service.service._statistics_path = tmp_path / "not there" / "radius-0.routers.json"
        async with asyncio.timeout(10):
            while not service.log.events("statistics.not_written"):
                await asyncio.sleep(0.01)
    assert service.count(names.BUGS) == 0


@pytest.mark.parametrize(
    "life",
    [
        test_a_login_is_answered_and_everything_is_counted,
        test_all_that_waits_is_claimed_together,
        test_stopping_answers_what_waits_and_hands_over_what_was_learned,
    ],
)
def test_it_is_the_same_on_the_loop_that_the_role_runs_on(
    tmp_path: Path, life: Callable[[Path], Coroutine[Any, Any, None]]
) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert isinstance(runner.get_loop(), uvloop.Loop)
        runner.run(life(tmp_path))  # asserts by itself


# --- no reference cycles --------------------------------------------------------------------------------------------


def kinds_of_requests() -> dict[str, Callable[[int], bytes]]:
    """One maker of each kind of datagram, by a number."""

    def with_chap(number: int) -> bytes:
        authenticator = fresh_authenticator()
        return access_request(
            password=None, identifier=number, authenticator=authenticator, attributes=chap(authenticator)
        )

    copy = access_request(b"bob", identifier=255)
    return {
        "granted": lambda number: access_request(identifier=number),
        "copy": lambda _: copy,
        "unsigned": lambda number: access_request(nas_identifier=b"old", signed=False, identifier=number),
        "wrong password": lambda number: access_request(password=b"wrong", identifier=number),
        "unknown": lambda number: access_request(b"mallory", identifier=number),
        "no name": lambda number: access_request(None, identifier=number),
        "CHAP": with_chap,
        "damaged": lambda number: access_request(b"eve", identifier=number),
        "proxied": lambda number: access_request(identifier=number, attributes=tlv(PROXY_STATE, b"s")),
        "Status-Server": lambda number: status_server(identifier=number),
        "malformed": lambda number: access_request(identifier=number)[:-1],
        "attribute cut off": lambda number: packet(1, number, bytes(16), b"\x01\x09abc"),
        "bad signature": lambda number: access_request(secret=b"other", identifier=number),
        "signature owed": lambda number: access_request(signed=False, identifier=number),
        "another code": lambda number: access_request(code=2, identifier=number),
        "waits": lambda number: access_request(b"carol", identifier=number),
        "MS-CHAP": lambda number: access_request(
            b"dora", None, identifier=number, attributes=attributes_2(b"dora", "wonderland")
        ),
        "wrong MS-CHAP": lambda number: access_request(
            b"dora", None, identifier=number, attributes=attributes_2(b"dora", "guess")
        ),
        "extras and bindings": lambda number: access_request(b"dora", identifier=number),
        "extras that do not fit": lambda number: access_request(b"fritz", identifier=number),
        "blocked": lambda number: access_request(b"gerd", identifier=number),
        "router administrator": lambda number: access_request(
            b"root", framed=False, identifier=number, attributes=tlv(6, b"\0\0\0\1")
        ),
        "customer at a router": lambda number: access_request(
            framed=False, identifier=number, attributes=tlv(6, b"\0\0\0\1")
        ),
    }


def test_the_request_path_makes_no_reference_cycles(tmp_path: Path) -> None:
    hashed = nt_hash("wonderland")
    learns = IN_ORDER | LoginFlag.CONDITIONAL | LoginFlag.MAC_LEARN | LoginFlag.PORT_LEARN
    extras = LoginExtras(upload="1M", download="2M", routes=("198.51.100.0/24",), ipv6_prefix="2001:db8::/64")
    logins = {
        **LOGINS,
        b"eve": encode_damaged(9),
        b"carol": encode(login(3)),
        b"dora": encode(login(4, nt_hash=hashed, flags=learns, extras=extras, access_ends_at_s=2**31)),
        b"fritz": encode(login(5, flags=learns, extras=LoginExtras(routes=("everywhere",)))),
        b"gerd": encode(login(6, access_status=AccessStatus.BLOCKED_MANUALLY)),
    }
    small = msgspec.structs.replace(
        tables(),
        parameters=[ParameterRow("blocked_state", 0, "S"), ParameterRow("blocked_address_list", 0, "blocked")],
        administrators=[AdministratorRow(1, b"root", b"wonderland", hashed, "full", 0)],
    )
    service = Service(tmp_path, logins=logins, small=small, must_wait=lambda facts, _: facts.login_id == 3)
    read = service.service._reader(service.listeners[0])
    with Client(service.auth) as client:

        def ask(requests: list[bytes]) -> None:
            for start in range(0, len(requests), 32):
                client.send(*requests[start : start + 32])
                read()
                service.service._waiting.clear()
            client.socket.setblocking(False)
            try:
                while True:
                    client.socket.recv(5000)
            except BlockingIOError:
                pass

        kinds = kinds_of_requests()
        for make in kinds.values():
            ask([make(number) for number in range(32)])
        garbage = {}
        gc.disable()
        gc.collect()
        gc.freeze()  # what is there by now, all tests' modules with it, would be looked through each time
        try:
            for kind, make in kinds.items():
                requests = [make(number % 256) for number in range(640)]
                gc.collect()  # what makes the requests may make cycles
                ask(requests)
                garbage[kind] = gc.collect()
        finally:
            gc.unfreeze()
            gc.enable()
    assert garbage == dict.fromkeys(kinds, 0)
    assert service.count(names.RECEIVED) == len(kinds) * (32 + 640)
    assert service.count(names.BUGS) == 0
    service.close()


def test_a_wake_up_takes_a_bounded_number_and_leaves_the_rest_for_the_next(tmp_path: Path) -> None:
    service = Service(tmp_path)
    read = service.service._reader(service.listeners[0])
    with Client(service.auth) as client:
        client.send(*(access_request(identifier=number) for number in range(50)))
        read()
        assert service.count(names.ANSWERED) == server.WAKE_UP_MAX == 32
        read()
        assert service.count(names.ANSWERED) == 50
    service.close()


def await_timestamps(client: Client, listener: datagrams.Listener) -> None:
    """Wait until the kernel notes arrivals: it begins some time after a first socket asked for it."""
    for _ in range(500):
        client.send(b"probe")
        sent_s = time.time()
        time.sleep(0.001)
        if all(arrived_s <= sent_s for _, _, arrived_s in datagrams.receive(listener, 32, unexpected)):
            return
    raise AssertionError("the kernel notes no arrivals")


def unexpected(_: datagrams.Listener, error: OSError) -> None:
    """Receiving must not fail."""
    raise error


@pytest.mark.parametrize(("fresh_s", "arrivals"), [(60.0, 1), (0.0, 3)])
def test_only_of_fresh_datagrams_the_first_arrival_is_that_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_s: float, arrivals: int
) -> None:
    """What waited has each its own age; and nothing ever seems younger than it is."""
    monkeypatch.setattr(datagrams, "_FRESH_S", fresh_s)
    service = Service(tmp_path)
    sent, asked = [], [access_request(identifier=number) for number in range(3)]
    with Client(service.auth) as client:
        await_timestamps(client, service.listeners[0])
        for request in asked:
            client.send(request)
            sent.append(time.time())
        received = datagrams.receive(service.listeners[0], 32, unexpected)
    service.close()
    assert [data for data, _, _ in received] == asked
    assert all(arrived_s <= sent_s for (_, _, arrived_s), sent_s in zip(received, sent, strict=True))
    assert len({arrived_s for _, _, arrived_s in received}) == arrivals


def test_a_clock_that_was_set_back_makes_nothing_fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service(tmp_path)
    with Client(service.auth) as client:
        client.send(*(access_request(identifier=number) for number in range(3)))
        monkeypatch.setattr(datagrams.clock, "wall_s", lambda: 1_000_000.0)
        received = datagrams.receive(service.listeners[0], 32, unexpected)
    service.close()
    assert len({arrived_s for _, _, arrived_s in received}) == 3


def test_a_reply_that_cannot_be_sent_is_counted_and_the_others_go_out(tmp_path: Path) -> None:
    service = Service(tmp_path)
    request = access_request()
    with Client(service.auth) as client:
        source = client.socket.getsockname()
        replies = [(b"x", ("127.0.0.1", 0), time.time()), (request, source, time.time())]
        service.service._sender.send(service.listeners[0], replies)
        assert client.socket.recv(5000) == request
    assert (service.count(names.SEND_FAILED), service.count(names.ANSWERED)) == (1, 1)
    service.close()


@pytest.fixture
def sent_together(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many replies left by each call."""
    sent: list[int] = []

    def noted(opened: socket.socket, some: list[bytes], source: tuple[object, ...]) -> None:
        sent.append(len(some))
        send_together(opened, some, source)

    monkeypatch.setattr(datagrams, "send_together", noted)
    return sent


def test_replies_of_one_length_to_one_source_leave_together_in_the_order_in_which_they_were_made(
    tmp_path: Path, sent_together: list[int]
) -> None:
    service = Service(tmp_path)
    service.service._sender.open(service.listeners[0])
    with Client(service.auth) as one, Client(service.auth) as other:
        both = [client.socket.getsockname() for client in (one, other)]
        replies = [
            (b"%03d" % number + bytes(number % 5 == 0), both[number % 10 == 1], time.time()) for number in range(200)
        ]
        service.service._sender.send(service.listeners[0], replies)
        for client, source in zip((one, other), both, strict=True):
            due = [reply for reply, whereto, _ in replies if whereto == source]
            got = [client.socket.recv(5000) for _ in due]
            for length in (3, 4):
                assert [reply for reply in got if len(reply) == length] == [x for x in due if len(x) == length]
    assert sorted(sent_together) == [12, 20, 40, 64, 64]
    assert (service.count(names.SEND_FAILED), service.count(names.ANSWERED)) == (0, 200)
    service.close()


def test_a_source_that_nobody_can_send_to_costs_the_others_nothing(tmp_path: Path, sent_together: list[int]) -> None:
    """Port 0, which whoever knows a NAS's address can write into a datagram, is refused by the kernel as invalid."""
    service = Service(tmp_path)
    sender, listener = service.service._sender, service.listeners[0]
    sender.open(listener)
    with Client(service.auth) as client:
        source = client.socket.getsockname()
        sender.send(listener, [(b"x", ("127.0.0.1", 0), time.time())] * 3 + [(b"y", source, time.time())] * 2)
        sender.send(listener, [(b"z", source, time.time())] * 2)
        assert [client.socket.recv(5000) for _ in range(4)] == [b"y", b"y", b"z", b"z"]
    assert sent_together == [3, 2, 2]
    assert (service.count(names.SEND_FAILED), service.count(names.ANSWERED)) == (3, 4)
    service.close()


async def test_what_a_killed_process_had_learned_and_not_handed_over_is_counted_and_told(tmp_path: Path) -> None:
    counters = CounterFile(tmp_path / "radius-0.cnt", names.RADIUS_COUNTERS)
    counters.set(names.LEARNED, 12)  # as a process leaves it that was killed
    counters.set(names.LEARNED_SAFE, 9)
    async with running(tmp_path) as service:
        assert service.count(names.LEARNED_LOST) == 3
        assert service.log.events("learned.lost")[0]["records"] == 3
        with Client(service.auth) as client:
            await client.ask(access_request(password=b"wrong"))
    assert service.count(names.LEARNED) > 12
    left = service.count(names.LEARNED) - service.count(names.LEARNED_SAFE) - service.count(names.LEARNED_LOST)
    assert left == 0, "what was learned since is safe, and what was lost is told once"
