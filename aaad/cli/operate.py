"""`aaad check`, `aaad migrate`, `aaad replica …`, `aaad nas …`: what an operator does to a node or to the cluster."""

import asyncio
import getpass
from dataclasses import asdict

from aaad.cli.cluster import free_message_authenticator, opened
from aaad.cli.terminal import Terminal
from aaad.config import Config
from aaad.db.migrate import migrate as apply_migrations
from aaad.db.migrate import pending
from aaad.errors import ConfigError
from aaad.replica.holds import OPEN, Hold, accept_hold, hold_status


def check(terminal: Terminal) -> None:
    """Say that the configuration is good; ConfigError says what is not."""
    path = terminal.options.config_path(terminal.environ)
    try:
        _read(terminal)
    except ConfigError as error:
        if terminal.options.is_json:
            terminal.json({"path": path, "key": error.key, "value": error.value, "allowed": terminal.allowed(error)})
        raise
    if terminal.options.is_json:
        terminal.json({"path": path, "key": None})
    else:
        _ = terminal.speak
        terminal.line(_("{path}: the configuration is good.", path=path))


def _read(terminal: Terminal) -> Config:
    return terminal.config


def migrate(terminal: Terminal, *, is_dry: bool) -> None:
    """Bring the database up to this program's schema, or with `is_dry` say what is missing."""
    _ = terminal.speak
    dsn = terminal.config.database.dsn.get_secret_value()
    missing = asyncio.run(pending(dsn))
    applied = 0 if is_dry else asyncio.run(apply_migrations(dsn))
    if terminal.options.is_json:
        terminal.json({"pending": missing if is_dry else [], "applied_count": applied})
    elif is_dry:
        for name in missing:
            terminal.line(name)
        terminal.line(_("{count} migrations are missing.", count=len(missing)))
    else:
        terminal.line(_("{count} migrations applied; the database is up to date.", count=applied))
    if is_dry and missing:
        terminal.refuse()


def replica_status(terminal: Terminal) -> None:
    """Show what the brake holds; end with 1 if something is held."""
    hold = asyncio.run(_find_hold(terminal.config))
    _ = terminal.speak
    is_open = hold is not None and hold.state == OPEN
    if terminal.options.is_json:
        terminal.json({"is_held": is_open, "hold": asdict(hold) if hold else None})
    elif hold is None:
        terminal.line(_("Nothing is held, and nothing ever was."))
    elif is_open:
        _show(terminal, hold)
        command = f"aaad replica accept {hold.hold_id} --count {hold.cut_off_count}"
        terminal.line(_("`{command}` lets it through on all nodes.", command=command))
        terminal.line(_("To undo it, put the data in PostgreSQL right; the hold then ends by itself."))
    else:
        terminal.line(_("Nothing is held now. The last hold:"))
        _show(terminal, hold)
    if is_open:
        terminal.refuse()


def replica_accept(terminal: Terminal, hold_id: int | None, count: int | None) -> None:
    """Let through what is held, no more than was asked for; end with 1 if nothing is, or if it is more by now."""
    accepted, found = asyncio.run(_accept_hold(terminal.config, getpass.getuser(), hold_id, count))
    _ = terminal.speak
    if terminal.options.is_json:
        terminal.json({"accepted": asdict(accepted) if accepted else None, "held": asdict(found) if found else None})
    elif accepted is not None:
        _show(terminal, accepted)
    elif found is None:
        terminal.line(_("Nothing is held."))
    else:
        terminal.line(_("Not accepted: what is held is not what you asked for."))
        _show(terminal, found)
    if accepted is None:
        terminal.refuse()


def reset_message_authenticator(terminal: Terminal, nas: str) -> None:
    """Free a NAS's routers from the duty to send Message-Authenticator (rule R2.3); end with 1 if there are none."""
    freed = asyncio.run(free_message_authenticator(terminal.config, nas))
    _ = terminal.speak
    if terminal.options.is_json:
        terminal.json({"nas": nas, "freed": freed})
    elif freed is None:
        terminal.complain(_("There is no NAS of the name {nas}.", nas=nas))
    else:
        terminal.line(
            _("{count} routers of {nas} may come without Message-Authenticator.", count=len(freed), nas=nas)
        )
        for router in freed:
            terminal.line(f"  {router['source_address']} {router['nas_identifier']}".rstrip())
    if not freed:
        terminal.refuse()


async def _find_hold(config: Config) -> Hold | None:
    async with opened(config) as database:
        return await hold_status(database)


async def _accept_hold(
    config: Config, operator: str, hold_id: int | None, count: int | None
) -> tuple[Hold | None, Hold | None]:
    """Return the hold as accepted, else the one that is open instead."""
    async with opened(config) as database:
        found = await hold_status(database)
        if found is None or found.state != OPEN:
            return None, None
        wanted_id = found.hold_id if hold_id is None else hold_id
        wanted_count = found.cut_off_count if count is None else count
        accepted = await accept_hold(database, operator, hold_id=wanted_id, count=wanted_count)
        if accepted is not None:
            return accepted, None
        now = await hold_status(database)
        return None, now if now is not None and now.state == OPEN else None


def _show(terminal: Terminal, hold: Hold) -> None:
    _ = terminal.speak
    states = {"open": _("held"), "accepted": _("accepted"), "superseded": _("no longer needed")}
    terminal.line(
        _(
            "Hold {number}, {state}: would cut off {count} of {total} logins; opened {opened}.",
            number=hold.hold_id,
            state=states.get(hold.state, hold.state),
            count=hold.cut_off_count,
            total=hold.logins_count,
            opened=terminal.clock(hold.opened_at.timestamp())[:-4],
        ),
        "bold",
    )
    if hold.sample:
        terminal.line("  " + _("for example: {names}", names=", ".join(hold.sample)))
    if hold.built_meanwhile:
        nodes = ", ".join(hold.built_meanwhile)
        terminal.line("  " + _("held on no node that was built meanwhile: {nodes}", nodes=nodes))
    if hold.decided_by:
        terminal.line("  " + _("accepted by {operator}", operator=hold.decided_by))
