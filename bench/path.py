"""Microseconds of each step of the request path, in process and without sockets; the sockets' cost apart.

    bench/path.py [--logins N] [--requests N] [--repeats N]

It fills a real replica and asks the real access path (journal, counters and replies remembered as in life) with many
distinct, genuine requests, so that caches are as cold as they would be. Then each step runs alone over the same
requests, those of PAP. CPU time of this thread, the least of the repeats, and of the whole path the least of each few
requests: others on the machine disturb it little. MS-CHAPv2 has the key schedules of its logins at hand, as in life.
"""

import argparse
import gc
import math
import random
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from client import signed_request

from aaad.journal import Journal
from aaad.metrics import CounterFile
from aaad.policy.codes import AccessStatus, ContractStatus, Credential, LoginFlag, Reason
from aaad.policy.decide import decide
from aaad.policy.facts import LoginFacts, PlanFacts, Speed
from aaad.policy.grant import Decision
from aaad.policy.parameters import BranchPolicy
from aaad.radius import access, explain, request
from aaad.radius import counters as names
from aaad.radius.integrity import SecretKeys
from aaad.radius.kinds import KINDS
from aaad.radius.layout import Layout
from aaad.radius.learned import Learned
from aaad.radius.packet import AUTHENTICATOR, packet_length, value_at, walk
from aaad.radius.password import verify_pap
from aaad.radius.reply import ClassSigner, accept_attributes
from aaad.radius.routers import Neighbourhood, Remembered
from aaad.radius.rulebook import Rulebook
from aaad.replica.compile import nt_hash
from aaad.replica.record import HEAD_SIZE, NasRow, Tables, decode, encode, fold_name
from aaad.replica.store import ReplicaMeta, ReplicaReader, ReplicaWriter
from aaad.simulator.methods import Proof
from aaad.simulator.methods import answer as prove
from aaad.simulator.mschap import Secret

_SECRET = b"testing123"
_NOW_S = 1_800_000_000.0
_WAKE_UP = 32
_CHUNK = 8 * _WAKE_UP
_MS_CHAP_REQUESTS = 4096  # its makers encipher by hand
_SO_TIMESTAMPNS = 35
_PLANS = 10
_SOURCES = [("127.0.0.1", 50_000 + number) for number in range(8)]


def main() -> None:
    """Fill, ask, and print a table."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="aaad-path-") as folder:
        reader = _filled_replica(Path(folder) / "replica", arguments.logins)
        requests = _requests(arguments.logins, arguments.requests, Proof.PAP)
        path = _path(reader, Path(folder))
        gc.collect()
        gc.freeze()
        gc.disable()
        _print_whole("PAP", path, reader, requests, arguments.repeats)
        for proof, count in ((Proof.CHAP, arguments.requests), (Proof.MS_CHAP_2, _MS_CHAP_REQUESTS)):
            others = _requests(arguments.logins, count, proof)
            _print_whole(proof.name.replace("_", "-"), path, reader, others, arguments.repeats)
        for name, step in _steps(path, reader, requests):
            print(f"  {name:42} {_least(step, arguments) - _least(_nothing(requests), arguments):7.2f}")
        for name, spent_us in _socket_steps(requests[0], arguments.requests // _WAKE_UP):
            print(f"  {name:42} {spent_us:7.2f}")


def _least(step: Callable[[], None], arguments: argparse.Namespace) -> float:
    """Return the least CPU time of the repeats, in microseconds per request."""
    found = []
    for _ in range(arguments.repeats):
        start = time.thread_time_ns()
        step()
        found.append(time.thread_time_ns() - start)
    return min(found) / arguments.requests / 1000


def _print_whole(method: str, path: access.AccessPath, reader: ReplicaReader, asked: list[bytes], repeats: int):
    """Print the least CPU time that a request has taken on its whole way, in microseconds."""
    least = [math.inf] * -(-len(asked) // _CHUNK)
    for _ in range(repeats):
        for number, _ in enumerate(least):
            start = time.thread_time_ns()
            _answer(path, reader, asked, number * _CHUNK, min(number * _CHUNK + _CHUNK, len(asked)))
            least[number] = min(least[number], time.thread_time_ns() - start)
    print(f"{'the whole path, without sockets: ' + method:44} {sum(least) / len(asked) / 1000:7.2f} us")


def _answer(path: access.AccessPath, reader: ReplicaReader, requests: list[bytes], first: int, end: int) -> None:
    """Answer requests as the service does: 32 under one snapshot, from 8 source ports in turn."""
    answer = path.answer
    for start in range(first, end, _WAKE_UP):
        reader.begin()
        source = _SOURCES[start // _WAKE_UP % len(_SOURCES)]
        for data in requests[start : start + _WAKE_UP]:
            reply = answer(data, source, _NOW_S, _NOW_S)
            assert reply.__class__ is bytes
            assert reply[0] == 2
        reader.end()


def _nothing(requests: list[bytes]) -> Callable[[], None]:
    def step() -> None:
        for _ in requests:
            pass

    return step


def _each(function: Callable[..., object], *columns: Iterable[object]) -> Callable[[], None]:
    """Return a step that calls `function` with the columns' values, row by row."""
    rows = list(zip(*columns, strict=True))

    def step() -> None:
        for row in rows:
            function(*row)

    return step


def _steps(path, reader: ReplicaReader, requests: list[bytes]) -> Iterable[tuple[str, Callable[[], None]]]:
    """Yield each step with what the steps before it have made of the requests."""
    keys = SecretKeys(_SECRET)
    lengths = [len(data) for data in requests]
    positions = [walk(data, len(data)) for data in requests]
    layouts, first = path._hood.nas_at(_SOURCES[0]).layouts, requests[0]
    yield "layout known again", _each(layouts.find, requests)
    yield "(length and walk of one that is not)", _each(lambda data: Layout(data, packet_length(data)), requests)
    layout = Layout(first, len(first))
    signed_at = [found[80] for found in positions]
    yield "Message-Authenticator in", _each(keys.message_authenticator_fits, requests, lengths, signed_at)
    reader.begin()
    stored = [value_at(data, found[1]) for data, found in zip(requests, positions, strict=True)]
    yield "name folded, record from LMDB", _each(lambda name: reader.login(fold_name(name)), stored)
    records = [reader.login(fold_name(name)) for name in stored]
    reader.end()
    yield "record to facts", _each(decode, records)
    logins = [decode(record) for record in records]
    yield (
        "PAP",
        _each(
            lambda data, found, login: verify_pap(
                keys, data[AUTHENTICATOR], value_at(data, found[2]), login.password, is_md5=False
            ),
            requests,
            positions,
            logins,
        ),
    )
    plans, policy = {plan.plan_id: plan for plan in _plans()}, BranchPolicy(0)

    def decided(login: LoginFacts) -> Decision:
        return decide(login, plans, policy, Credential.RIGHT, None, _NOW_S)

    yield "decide", _each(decided, logins)
    decisions = [decided(login) for login in logins]
    rules, signer, kind = Rulebook(_offset), ClassSigner(bytes(16), node=1, slot=0, serial=1), KINDS["mikrotik"]

    def said(login: LoginFacts, decision: Decision) -> bytes:
        grant = decision.grant
        attributes, fingerprint, _ = accept_attributes(
            kind, rules.template(kind, grant), grant, login.login_id, True, _NOW_S
        )
        return signer.class_attribute(1, 2, 3, fingerprint) + attributes

    yield "Class and reply attributes", _each(said, logins, decisions)
    attributes = [said(login, decision) for login, decision in zip(logins, decisions, strict=True)]
    yield (
        "reply signed",
        _each(lambda data, body: keys.signed_reply(2, data[1], data[AUTHENTICATOR], body), requests, attributes),
    )
    yield "reply remembered", _each(lambda data: Remembered(data[AUTHENTICATOR], data, _NOW_S), requests)
    source, peer = _SOURCES[0], None
    yield (
        "request and pending as values",
        _each(
            lambda data, login, record, decision: request.Pending(
                request.Request(data, layout, data[4:20], source, peer, peer, keys, _NOW_S),
                request.Proven(Credential.RIGHT, keys, None),
                login,
                record,
                decision,
            ),
            requests,
            logins,
            records,
            decisions,
        ),
    )
    entry_key = b"\1\0\0\0\x09127.0.0.1"

    def entry(data: bytes, record: bytes, body: bytes) -> bytes:
        public = layout.public_attributes(data)
        head = record[:HEAD_SIZE]
        return explain.encode(
            Reason.GRANTED, Credential.RIGHT, explain.FLAG_SIGNED, 0.0, entry_key, head, public, body, math.inf
        )

    yield "journal's entry made", _each(entry, requests, records, attributes)
    entries = [entry(*row) for row in zip(requests, records, attributes, strict=True)]
    journal = path._journal
    yield "journal's entry written", _each(lambda body: journal.append(1, _NOW_S, body), entries)


def _socket_steps(request: bytes, rounds: int) -> Iterable[tuple[str, float]]:
    """Yield what the kernel costs in microseconds per datagram, 32 at a time as in life."""
    receiver, sender = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    receiver.bind(("127.0.0.1", 0))
    receiver.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    address = receiver.getsockname()
    size = socket.CMSG_SPACE(16)
    sent = {"recvfrom": 0, "recvmsg with the arrival time": 0}
    received = dict(sent)
    for _ in range(rounds):
        for name, receive in zip(
            sent, (lambda: receiver.recvfrom(4097), lambda: receiver.recvmsg(4097, size)), strict=True
        ):
            start = time.thread_time_ns()
            for _ in range(_WAKE_UP):
                sender.sendto(request, address)
            middle = time.thread_time_ns()
            for _ in range(_WAKE_UP):
                receive()
            sent[name] += middle - start
            received[name] += time.thread_time_ns() - middle
    receiver.close()
    sender.close()
    for name, spent_ns in received.items():
        yield f"socket: {name}", spent_ns / rounds / _WAKE_UP / 1000
    yield "socket: sendto", sent["recvfrom"] / rounds / _WAKE_UP / 1000


def _plans() -> list[PlanFacts]:
    return [
        PlanFacts(n + 1, f"plan {n}", Speed(f"{10 * n + 10}M", f"{50 * n + 50}M"), 0, 0, 300) for n in range(_PLANS)
    ]


def _filled_replica(folder: Path, logins: int) -> ReplicaReader:
    writer = ReplicaWriter(folder, 1 << 34)
    writer.open()
    generation = writer.build()
    flags = LoginFlag.LOGIN_ACTIVE | LoginFlag.CLIENT_ACTIVE
    nas = NasRow(1, "bench", "127.0.0.0/8", _SECRET, b"", 0.0, "mikrotik", True, "auto", 900, 1)
    with generation.write() as transaction:
        for i in range(logins):
            facts = LoginFacts(
                i + 1, i + 1, i + 1, i % _PLANS + 1, 1, flags, ContractStatus.ACTIVE, AccessStatus.ACTIVE,
                0x64400000 + i, nt_hash=nt_hash(f"pass{i:06}"), password=b"pass%06d" % i,
            )  # fmt: skip
            transaction.put_record(b"user%06d" % i, encode(facts))
        transaction.put_tables(Tables(1, [nas], [], _plans(), [], bytes(16), 1))
        transaction.put_meta(ReplicaMeta("1:1:", "bench", "1", logins, 0, _NOW_S, 1))
    writer.swap(generation)
    writer.close()
    reader = ReplicaReader(folder)
    assert reader.open()
    return reader


def _path(reader: ReplicaReader, folder: Path) -> access.AccessPath:
    counters = CounterFile(folder / "radius-0.cnt", names.RADIUS_COUNTERS)
    path = access.AccessPath(
        logins=reader,
        neighbourhood=Neighbourhood(peers_max=1000),
        journal=Journal(folder / "journal", segment_bytes=1 << 24, bytes_max=1 << 28),
        learned=Learned(),
        cells=counters.cells,
        decided_at=names.positions_by_code(counters.index, Reason),
        slot=0,
        first_serial=1,
        reject_messages={},
        utc_offset_s=_offset,
    )
    reader.begin()
    problems = path.load(reader.tables(), _NOW_S)
    reader.end()
    assert not problems, problems
    return path


def _offset(time_zone: str, at_s: float) -> int:
    return -10_800


def _requests(logins: int, count: int, proof: Proof) -> list[bytes]:
    """Return distinct requests of random logins, in the form in which a MikroTik sends them."""
    chosen = random.Random(proof.value)
    requests = []
    for position in range(count):
        number, authenticator = chosen.randrange(logins), chosen.randbytes(16)
        name = b"user%06d" % number
        proven = prove(proof, name, Secret(f"pass{number:06}"), chosen.randbytes).encode(authenticator, _SECRET)
        requests.append(signed_request(position % 256, authenticator, name, proven))
    return requests


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logins", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=20_480)
    parser.add_argument("--repeats", type=int, default=7)
    return parser.parse_args()


if __name__ == "__main__":
    main()
