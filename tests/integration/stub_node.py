"""A node for the supervisor's tests: the real supervisor and role processes around services of a few lines.

    stub_node.py run CONFIG             stub_node.py role NAME --slot N --config CONFIG

Its radius service answers Status-Server, and every other datagram with who it is and what it got, unless it is told
otherwise: swallow (take it and say nothing), slow (answer late), stuck (never end), crash (our own bug), deaf (stop
reading), silent (answer as a node without replica does), unrecorded (answer no question on the accounting port),
ended (end a service unasked).
"""

import asyncio
import hashlib
import os
import sys
import time
from pathlib import Path

from aaad.daemon import roles
from aaad.daemon.context import RoleContext
from aaad.daemon.health import Health
from aaad.daemon.priority import Turn
from aaad.daemon.roles import Role
from aaad.daemon.sockets import Purpose
from aaad.daemon.supervisor import run_supervisor

RECEIVED, ANSWERED = "aaad_radius_received_total", "aaad_radius_answered_total"
NO_REPLICA = "aaad_radius_discarded_total|cause=no_replica"


class Stub:
    def __init__(self, context: RoleContext) -> None:
        self.context = context
        self.work: set[asyncio.Task[None]] = set()
        self.is_silent = self.is_unrecorded = False
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def readable(self, found) -> None:
        socket, is_accounting = found.socket, found.purpose is Purpose.ACCT
        data, source = socket.recvfrom(4096)
        self.context.counters.add(RECEIVED)
        key = self.context.watchdog
        if key and source in key.sources:
            if self.is_silent:
                self.context.counters.add(NO_REPLICA)
                return
            if is_accounting and self.is_unrecorded:
                return
            head = bytes((5 if is_accounting else 2,)) + data[1:2] + b"\x00\x14"
            self.answer(socket, source, head + hashlib.md5(head + data[4:20] + key.secret).digest())
            return
        self.act(socket, source, data)

    def act(self, socket, source, data: bytes) -> None:
        match data.split():
            case [b"swallow"]:
                return
            case [b"slow"]:
                self.work.add(asyncio.get_running_loop().create_task(self.late(socket, source)))
                return
            case [b"stuck"]:
                self.work.add(asyncio.get_running_loop().create_task(asyncio.sleep(3600)))
            case [b"crash"]:
                self.failure.set_exception(RuntimeError("a bug of ours"))
            case [b"ended"]:
                self.failure.set_result(None)
            case [b"deaf"]:
                for found in self.context.sockets:
                    asyncio.get_running_loop().remove_reader(found.socket)
            case [b"silent"]:
                self.is_silent = True
            case [b"unrecorded"]:
                self.is_unrecorded = True
        self.answer(socket, source, f"{self.context.slot} {os.getpid()} {data.decode()}".encode())

    def answer(self, socket, source, reply: bytes) -> None:
        self.context.counters.add(ANSWERED)  # first: a test that got the answer may kill us at once
        socket.sendto(reply, source)

    async def late(self, socket, source) -> None:
        await asyncio.sleep(0.5)
        self.answer(socket, source, b"late")


async def radius(context: RoleContext) -> None:
    stub, loop = Stub(context), asyncio.get_running_loop()
    for found in context.sockets:
        loop.add_reader(found.socket, stub.readable, found)
    stopping = asyncio.ensure_future(context.stopping.wait())
    await asyncio.wait([stopping, stub.failure], return_when=asyncio.FIRST_COMPLETED)
    for found in context.sockets:
        loop.remove_reader(found.socket)
    if stub.failure.done():
        stopping.cancel()
        stub.failure.result()
        return
    if stub.work:
        await asyncio.wait(stub.work)


async def control(context: RoleContext) -> None:
    await context.stopping.wait()


STUBS = {
    "radius": Role(
        name="radius",
        services=(radius,),
        modules=(),
        counter_names=lambda: (RECEIVED, ANSWERED, NO_REPLICA),
        purposes=frozenset({Purpose.AUTH, Purpose.ACCT}),
        sections=frozenset({"node", "radius"}),
        silence_limit_s=1.0,
        turn=Turn.FIRST,
    ),
    "control": Role(
        name="control",
        services=(control,),
        modules=(),
        counter_names=lambda: (),
        purposes=frozenset({Purpose.CONTROL, Purpose.METRICS, Purpose.SYNC}),
        sections=frozenset({"cli"}),
        silence_limit_s=60.0,
        turn=Turn.LAST,
    ),
}


def command(role: str, number: int, config_path: Path) -> list[str]:
    return [sys.executable, "-P", __file__, "role", role, "--slot", str(number), "--config", str(config_path)]


if __name__ == "__main__":
    if sys.argv[1] == "run":
        health = Health(deaf_limit_s=1.0)
        code = run_supervisor(Path(sys.argv[2]), roles=STUBS, command=command, health=health, probe_interval_s=0.2)
        sys.exit(code)
    if int(sys.argv[4]) > 0:
        time.sleep(float(os.environ.get("STUB_LOADING_S", "0")))  # a second process on a busy machine
    sys.exit(roles.run(STUBS[sys.argv[2]], int(sys.argv[4]), Path(sys.argv[6])))
