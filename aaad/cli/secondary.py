"""`aaad login secondary`: a secondary network, found by itself (S2-08, "Busca Automática de IP Secundário").

The next free network of the concentrator's pool, with its mask, becomes a route of the login and the login's own in
the ledger, both in one transaction. It is delivered when the login connects next.
"""

import asyncio
from typing import Any, NoReturn

from aaad.cli.leases import read_network
from aaad.cli.pool_words import state_text
from aaad.cli.records import Desk, Saved, fail, tell_saved, working
from aaad.cli.terminal import Terminal
from aaad.pools.holdings import Holdings
from aaad.pools.operate import Operations, operate


def add_secondary(terminal: Terminal, login: str, nas: str | None) -> None:
    """Give a login the next free network of its concentrator's pool; end with 1 if there is none."""
    network, record = asyncio.run(_add(terminal, login, nas))
    if terminal.options.is_json:
        terminal.json({"saved": True, "network": network, "login": record})
        return
    _ = terminal.speak
    terminal.line(_("Secondary network {network} for {login}.", network=network, login=record["name"]), "green")
    terminal.line(_("It is delivered when the login connects next."))


async def _add(terminal: Terminal, login: str, nas: str | None) -> tuple[str, dict[str, Any]]:
    _ = terminal.speak
    async with working(terminal) as desk:
        login_id = await _living_login(desk, login)
        holdings = Holdings(desk.store.queries)
        operations = await _pool_of(desk, holdings, login_id, nas)
        network = await holdings.take_network(operations, login_id)
        record = await desk.store.record("login", login_id) or {}
        is_aside = network is None and await operations.ask_back()
    if network is None:  # what is asked back is committed by now
        text = _("Pool {pool} has no free network.", pool=operations.pool.name)
        if is_aside:
            text += " " + _("Processes have set some aside and give them back now: try again in a few seconds.")
        fail(terminal, text)
    return network, record


async def _living_login(desk: Desk, word: str) -> int:
    _, terminal = desk.terminal.speak, desk.terminal
    login_id = await desk.resolve("login", word)
    record = await desk.store.record("login", login_id) or {}
    if record["deleted_at"] is not None:
        fail(terminal, _("{name} is deleted already.", name=record["name"]))
    return login_id


async def _pool_of(desk: Desk, holdings: Holdings, login_id: int, nas: str | None) -> Operations:
    """Return the pool of secondary networks of a login's concentrator; end with 1 if it gives none out."""
    _, terminal = desk.terminal.speak, desk.terminal
    nas_id = await desk.resolve("nas", nas) if nas is not None else await holdings.concentrator_of(login_id)
    if nas_id is None:
        fail(terminal, _("The login is bound to no concentrator and connected at none: say which, with --nas."))
    found = await holdings.secondary_pool(nas_id)
    if not found["name"]:
        text = _("Concentrator {nas} has no pool of secondary networks: aaad nas edit {nas} --secondary-pool NAME.",
                 nas=found["nas"])  # fmt: skip
        fail(terminal, text)
    if found["pool_id"] is None:
        fail(terminal, _("There is no pool {name} in the address space of concentrator {nas}.", **_names(found)))
    operations = await operate(desk.store.queries, found["pool_id"])
    pool = operations.pool
    if pool.kind != "radius":
        fail(terminal, _("Pool {name} is not given out here: it must be of kind radius (RAD).", name=pool.name))
    if pool.state != "active":
        _refuse_state(terminal, operations)
    if pool.adopting_since is not None:
        fail(terminal, _("Pool {name} is being adopted: what is free in it is not known yet.", name=pool.name))
    return operations


def _names(found: dict[str, Any]) -> dict[str, Any]:
    return {"name": found["name"], "nas": found["nas"]}


def _refuse_state(terminal: Terminal, operations: Operations) -> NoReturn:
    _, pool = terminal.speak, operations.pool
    fail(terminal, _("Pool {name} is {state}.", name=pool.name, state=state_text(terminal.speak, pool.state)))


def take_back(terminal: Terminal, login: str, word: str) -> None:
    """Take a network away from a login; it rests, and goes back to its pool."""
    network = read_network("--take-back", word)

    async def write() -> Saved:
        async with working(terminal) as desk:
            _ = terminal.speak
            login_id = await _living_login(desk, login)
            holdings = Holdings(desk.store.queries)
            held = {row["address"] for row in await holdings.networks_of(login_id)}
            if str(network) not in held:
                text = _("{network} is no secondary network of {login}: {held}", network=network, login=login,
                         held=", ".join(sorted(held)) or "-")  # fmt: skip
                fail(terminal, text)
            await holdings.remove_route(login_id, str(network))
            return Saved(await desk.store.record("login", login_id) or {}, desk.warnings, {})

    tell_saved(terminal, "login", asyncio.run(write()))
