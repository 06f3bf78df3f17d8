"""The RouterOS APIs of a simulation's concentrators: who dialled is in /ppp/active, and can be cut there."""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

from aaad.simulator.nas import Concentrator
from aaad.simulator.network import SimulatorError
from aaad.simulator.routeros import Router, RouterosServer
from aaad.simulator.routeros_tables import Row
from aaad.simulator.simulation import Simulation

APIS_MAX = 100  # each has a thread of its own
_USER = "aaad"
_LOOPBACK = "127.0.0.1"


def serve_apis(simulation: Simulation, port: int, stack: ExitStack) -> list[Router]:
    """Let each concentrator's API listen at its own address until the stack is closed."""
    concentrators = simulation.concentrators
    if len(concentrators) > APIS_MAX:
        raise SimulatorError(f"no more than {APIS_MAX} concentrators can have an API")
    return [_serve(simulation, concentrator, port, stack) for concentrator in concentrators]


def _serve(simulation: Simulation, concentrator: Concentrator, port: int, stack: ExitStack) -> Router:
    nas = concentrator.nas
    router = Router(identity=nas.name)
    router.passwords[_USER] = nas.secret.decode()
    active = router.table("/ppp/active")
    active.source = partial(_rows, simulation, concentrator)
    active.removed = partial(_cut, simulation, concentrator)
    address = nas.source or _LOOPBACK
    try:
        stack.enter_context(RouterosServer(router, address=address, port=port))
    except RuntimeError as error:
        raise SimulatorError(f"API at {address} port {port}: {error.__cause__ or error}") from None
    return router


def _rows(simulation: Simulation, concentrator: Concentrator) -> Iterator[Row]:
    for session in simulation.online.at(concentrator):
        address = ".".join(str(octet) for octet in session.address)
        row = {".id": f"*{session.number:X}", "name": session.subscriber.name, "service": "pppoe"}
        row |= {"caller-id": session.subscriber.mac.hex(":").upper(), "address": address, "radius": "true"}
        yield row | {"session-id": f"0x{session.session_id.decode()}", "uptime": "1m", "encoding": ""}


def _cut(simulation: Simulation, concentrator: Concentrator, row: Row) -> None:
    for session in simulation.online.at(concentrator):
        if f"*{session.number:X}" == row[".id"]:
            simulation.cut(session)
