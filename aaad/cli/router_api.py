"""`aaad nas api-password` and `aaad nas pools`: asking a concentrator's own API, which is only ever read here.

What other commands need to ask a router stands here too: as whom, and where (`access_of`, `reading`).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aaad.cli.logins import generate_password
from aaad.cli.records import Desk, Saved, fail, tell_saved, working
from aaad.cli.terminal import Terminal
from aaad.erp.network.tables import NAS
from aaad.mikrotik.connection import RouterAccess, RouterConnection
from aaad.mikrotik.observe import Observation, Pool, figures, observe

_PASSWORD_LENGTH = 24


def set_password(terminal: Terminal, word: str, password: str | None) -> None:
    """Keep the password of a concentrator's API; with None one is made and shown once."""
    tell_saved(terminal, "nas", asyncio.run(_set_password(terminal, word, password)))


async def _set_password(terminal: Terminal, word: str, password: str | None) -> Saved:
    _ = terminal.speak
    async with working(terminal) as desk:
        nas_id = await desk.resolve("nas", word)
        made = generate_password(_PASSWORD_LENGTH) if password is None else password
        row = await desk.read(NAS, {"api_password": made})
        desk.stop_if_wrong()
        await desk.store.update(NAS, nas_id, row)
        record = await desk.store.record("nas", nas_id) or {}
        warnings = []
        if not record.get("api_user"):
            warnings.append(_("it has no user of its API yet: `aaad nas edit {nas} --api-user …`", nas=word))
        if not record.get("api_tls", True):
            warnings.append(_("this password goes over the network in clear, since its API is without TLS"))
        return Saved(record, warnings, {"password": made} if password is None else {})


async def access_of(desk: Desk, nas_id: int) -> RouterAccess:
    """Return as whom and where a concentrator's API is asked; end if that is not known."""
    _ = desk.terminal.speak
    row = await desk.store.row("find_router_access", nas_id)
    assert row is not None
    if row["address"] is None:
        text = _("{nas} stands for many routers: `aaad nas edit {nas} --api-address …` says which.", nas=row["name"])
        fail(desk.terminal, text)
    if not row["api_user"] or row["api_password"] is None:
        text = _(
            "Nothing says as whom to ask {nas}: `aaad nas edit {nas} --api-user …`, `aaad nas api-password {nas}`."
        )
        fail(desk.terminal, text.replace("{nas}", row["name"]))
    return RouterAccess.of_nas(row, row["address"])


@asynccontextmanager
async def connected(access: RouterAccess) -> AsyncIterator[RouterConnection]:
    """Have a connection to a router, for one command."""
    connection = RouterConnection(access)
    try:
        yield connection
    finally:
        await connection.close()


async def read_router(terminal: Terminal, word: str) -> Observation:
    """Read what a concentrator says of itself; no transaction is open meanwhile."""
    async with working(terminal) as desk:
        access = await access_of(desk, await desk.resolve("nas", word))
    async with connected(access) as connection:
        return await observe(connection)


def show_pools(terminal: Terminal, word: str) -> None:
    """Show the pools of a router, as the router itself counts them (rule R7.4)."""
    _ = terminal.speak
    seen = asyncio.run(read_router(terminal, word))
    ranges = {pool.name: _ranges(pool) for pool in (*seen.pools, *seen.prefix_pools)}
    counted = figures(seen)
    if terminal.options.is_json:
        terminal.json(
            {
                "router": seen.identity,
                "version": seen.version,
                "connected": len(seen.connected),
                "delegated": len(seen.bindings),
                "missing": seen.missing,
                "unread": seen.unread_count,
                "pools": [{**one._asdict(), "ranges": ranges[one.name]} for one in counted],
            }
        )
        return
    terminal.line(
        _(
            "{router}, RouterOS {version}: {count} customers are connected.",
            router=seen.identity,
            version=seen.version,
            count=len(seen.connected),
        )
    )
    table = terminal.table(_("pool"), _("in use"), _("size"), "%", _("ranges"))
    for one in counted:
        table.add(one.name, one.used, one.size, round(100 * one.used / max(one.size, 1)), ", ".join(ranges[one.name]))
    table.print()


def _ranges(pool: Pool) -> list[str]:
    return [run.text() for run in pool.ranges]
