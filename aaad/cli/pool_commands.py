"""The commands on pools of addresses and leases. Only registers: code is imported when it runs."""

import inspect
from collections.abc import Callable
from typing import Annotated, Any, Literal

import typer

from aaad.cli.endings import end
from aaad.cli.making import (
    LIMIT_DEFAULT,
    add_command,
    argument,
    group_of,
    limit_option,
    new_group,
    options_of,
    sure,
)
from aaad.cli.terminal import Terminal
from aaad.erp.network import tables
from aaad.words import Speaker

_SPACE_MAX = 2**31 - 2


def add_pools(app: typer.Typer, terminal: Terminal) -> None:
    """Add `pool` and `lease`, and `login secondary` to what is there."""
    _add_records(app, terminal, terminal.speak)
    _add_parts(group_of(app, "pool"), terminal, terminal.speak)
    _add_states(group_of(app, "pool"), terminal, terminal.speak)
    _add_import(group_of(app, "pool"), terminal, terminal.speak)
    _add_leases(app, terminal, terminal.speak)
    _add_secondary(group_of(app, "login"), terminal, terminal.speak)


def _csv_option(_: Speaker) -> Any:
    return typer.Option("--csv", help=_("as CSV, with the names of --json"))


def _several(name: str, option: str, text: str) -> inspect.Parameter:
    """Return an option that may stand several times."""
    declared = typer.Option(option, help=text, metavar="…")
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[list[str] | None, declared]
    )


def _add_records(app: typer.Typer, terminal: Terminal, _: Speaker) -> None:
    group = new_group(app, "pool", _("Pools of addresses and prefixes."))
    which = argument("which", _("id or name"), "POOL")
    spans = _("192.0.2.0/24, 192.0.2.10-192.0.2.99 or 2001:db8::/40; may stand several times")

    def add(ranges: list[str] | None, excluded: list[str] | None, **words: str | None) -> None:
        from aaad.cli import pools

        end(terminal, lambda: pools.add_pool(terminal, words, ranges or [], excluded or []))

    parameters = [
        *options_of(tables.POOL, _),
        _several("ranges", "--range", _("its addresses: {spans}", spans=spans)),
        _several("excluded", "--exclude", _("addresses of it that are not given out, likewise")),
    ]
    add_command(group, "add", _("Write a new one."), parameters, add)

    def show(which: str) -> None:
        from aaad.cli import pool_list

        end(terminal, lambda: pool_list.show_pool(terminal, which))

    add_command(group, "show", _("Show everything about one."), [which], show)

    def edit(which: str, **words: str | None) -> None:
        from aaad.cli import pools

        end(terminal, lambda: pools.edit_pool(terminal, which, words))

    text = _("Change what is given; an empty value takes away what is there.")
    add_command(group, "edit", text, [which, *options_of(tables.POOL, _, is_new=False)], edit)

    def delete(which: str, is_sure: bool) -> None:
        from aaad.cli import pools, records

        end(terminal, lambda: records.delete(terminal, pools.ROOM, which, is_sure=is_sure))

    add_command(group, "delete", _("Delete one, unless something is linked to it."), [which, sure(_)], delete)

    @group.command("list", help=_("List pools: in use, free, offered, resting, and when they will be full."))
    def list_pools(
        search: Annotated[str, typer.Argument(help=_("part of a name, or an address"))] = "",
        is_csv: Annotated[bool, _csv_option(_)] = False,
        limit: Annotated[int, limit_option(_)] = LIMIT_DEFAULT,
    ) -> None:
        from aaad.cli import pool_list

        end(terminal, lambda: pool_list.list_pools(terminal, search, limit, is_csv=is_csv))

    @group.command(
        "check", help=_("Compare the ledger with what concentrators report. Exit code 1 if anything does not fit.")
    )
    def check(
        pool: Annotated[str, typer.Argument(help=_("id or name"))] = "",
        is_csv: Annotated[bool, _csv_option(_)] = False,
        limit: Annotated[int, limit_option(_)] = LIMIT_DEFAULT,
    ) -> None:
        from aaad.cli import pool_check

        end(terminal, lambda: pool_check.check(terminal, pool, limit, is_csv=is_csv))

    @group.command("history", help=_("Show what was changed in a pool, or in all, and by whom."))
    def history(
        pool: Annotated[str, typer.Argument(help=_("id or name"))] = "",
        limit: Annotated[int, limit_option(_)] = LIMIT_DEFAULT,
    ) -> None:
        from aaad.cli import pool_list

        end(terminal, lambda: pool_list.show_history(terminal, pool, limit))


def _add_parts(group: typer.Typer, terminal: Terminal, _: Speaker) -> None:
    which = typer.Argument(help=_("id or name"), metavar="POOL", show_default=False)
    spans = typer.Argument(
        help=_("addresses: 192.0.2.7, 192.0.2.0/24, 192.0.2.10-192.0.2.99"), metavar="RANGE…", show_default=False
    )

    @group.command("exclude", help=_("Give some of its addresses to nobody new; who has one keeps it."))
    def exclude(
        pool: Annotated[str, which],
        ranges: Annotated[list[str], spans],
        why: Annotated[str | None, typer.Option(help=_("why: it goes into the history"))] = None,
    ) -> None:
        from aaad.cli import pool_ranges as room

        end(terminal, lambda: room.exclude(terminal, pool, ranges, why))

    @group.command("include", help=_("Give addresses out again that were excluded."))
    def include(pool: Annotated[str, which], ranges: Annotated[list[str], spans]) -> None:
        from aaad.cli import pool_ranges as room

        end(terminal, lambda: room.include(terminal, pool, ranges))

    parts = new_group(group, "range", _("What a pool consists of."))

    @parts.command("add", help=_("Give a pool further addresses."))
    def add_range(pool: Annotated[str, which], ranges: Annotated[list[str], spans]) -> None:
        from aaad.cli import pools

        end(terminal, lambda: pools.add_ranges(terminal, pool, ranges))

    @parts.command(
        "remove",
        help=_("Take addresses out of a pool for good. Exit code 1 if somebody has one of them: who is told."),
    )
    def remove_range(
        pool: Annotated[str, which],
        text: Annotated[str, typer.Argument(help=_("a whole range or a part of it"), metavar="RANGE")],
        is_sure: Annotated[bool, typer.Option("--yes", help=_("do not ask"))] = False,
    ) -> None:
        from aaad.cli import pool_ranges as room

        end(terminal, lambda: room.remove(terminal, pool, text, is_sure=is_sure))


def _add_states(group: typer.Typer, terminal: Terminal, _: Speaker) -> None:
    which = typer.Argument(help=_("id or name"), metavar="POOL", show_default=False)

    def state(name: str, text: str, act: str) -> None:
        def command(pool: str) -> None:
            from aaad.cli import pools

            action: Callable[[Terminal, str], None] = getattr(pools, act)
            end(terminal, lambda: action(terminal, pool))

        add_command(group, name, text, [argument("pool", _("id or name"), "POOL")], command)

    state("drain", _("Give out nothing new of it; who has an address keeps it until he is gone."), "drain")
    state("resume", _("Give out addresses of it again."), "resume")
    state(
        "retire",
        _("End a drained one and keep it for the history. Exit code 1 if somebody has an address of it, and who."),
        "retire",
    )
    state(
        "adopt",
        _("From now on give out only what is proven unused: live sessions may have the others."),
        "begin_adopting",
    )

    @group.command("adopt-end", help=_("Every address in use is known: give out the others, too."))
    def adopt_end(
        pool: Annotated[str, which], is_sure: Annotated[bool, typer.Option("--yes", help=_("do not ask"))] = False
    ) -> None:
        from aaad.cli import pools

        end(terminal, lambda: pools.end_adopting(terminal, pool, is_sure=is_sure))


def _add_import(group: typer.Typer, terminal: Terminal, _: Speaker) -> None:
    @group.command(
        "import",
        help=_(
            "Take over pools and addresses in use from routers or a FreeRADIUS, without dropping anybody. Shows what "
            "would be done; --apply does it. Exit code 1 if something does not fit."
        ),
    )
    def import_pools(
        routers: Annotated[
            list[str] | None,
            typer.Option("--router", help=_("a concentrator whose API is asked: id or name; several")),
        ] = None,
        is_freeradius: Annotated[
            bool, typer.Option("--freeradius", help=_("radippool and radacct of the database in AAAD_FREERADIUS_DSN"))
        ] = False,
        only: Annotated[
            list[str] | None,
            typer.Option("--pool", help=_("only this pool, by its name there; several; default: all")),
        ] = None,
        renames: Annotated[
            list[str] | None, typer.Option("--rename", help=_("THERE=HERE: another name here; several"))
        ] = None,
        families: Annotated[
            list[str] | None,
            typer.Option("--family", help=_("POOL=ipv6 or POOL=delegated, where it is not clear; several")),
        ] = None,
        kind: Annotated[
            Literal["radius", "nas"],
            typer.Option(help=_("radius: given out here from now on; nas: the router goes on giving them out")),
        ] = "radius",
        space: Annotated[int, typer.Option(min=1, max=_SPACE_MAX, help=_("address space of the pools"))] = 1,
        may_extend: Annotated[
            bool, typer.Option("--extend", help=_("a pool that is here may get ranges that it does not have"))
        ] = False,
        is_final: Annotated[
            bool,
            typer.Option("--final", help=_("nobody else gives these addresses out any more: what is unused is free")),
        ] = False,
        is_applied: Annotated[bool, typer.Option("--apply", help=_("do it; else it is only shown"))] = False,
    ) -> None:
        from aaad.cli import pool_import as room

        typed = room.Typed(
            routers or [],
            is_freeradius,
            only or [],
            renames or [],
            families or [],
            kind,
            space,
            may_extend,
            is_final,
        )
        end(terminal, lambda: room.import_pools(terminal, typed, is_applied=is_applied))


def _add_leases(app: typer.Typer, terminal: Terminal, _: Speaker) -> None:
    group = new_group(app, "lease", _("Who has which address."))
    space_option = typer.Option("--space", min=1, max=_SPACE_MAX, help=_("only in this address space"))
    address = typer.Argument(help=_("an address or prefix"), metavar="ADDRESS", show_default=False)

    @group.command("list", help=_("List what the ledger knows: in use, resting, fixed, and reported by others."))
    def list_leases(
        pool: Annotated[str | None, typer.Option(help=_("of this pool: id or name"))] = None,
        login: Annotated[str | None, typer.Option(help=_("of this login: name or id"))] = None,
        within: Annotated[
            str | None, typer.Option("--address", help=_("with this address, or in this network or prefix"))
        ] = None,
        space: Annotated[int | None, space_option] = None,
        state: Annotated[
            Literal["bound", "released", "fixed", "foreign"] | None, typer.Option(help=_("default: all"))
        ] = None,
        is_csv: Annotated[bool, _csv_option(_)] = False,
        limit: Annotated[int, limit_option(_)] = LIMIT_DEFAULT,
    ) -> None:
        from aaad.cli import leases as room

        typed = room.Filter(pool, login, within, space, state)
        end(terminal, lambda: room.list_leases(terminal, typed, limit, is_csv=is_csv))

    @group.command("history", help=_("Show who has an address and which connections had it."))
    def history(
        of: Annotated[str, address],
        space: Annotated[int | None, space_option] = None,
        is_csv: Annotated[bool, _csv_option(_)] = False,
        limit: Annotated[int, limit_option(_)] = LIMIT_DEFAULT,
    ) -> None:
        from aaad.cli import leases as room

        end(terminal, lambda: room.show_history(terminal, of, space, limit, is_csv=is_csv))

    @group.command(
        "release",
        help=_("Take an address back that nobody uses. Exit code 1 if a connection has it: which is told."),
    )
    def release(
        of: Annotated[str, address],
        space: Annotated[int | None, space_option] = None,
        is_forced: Annotated[
            bool, typer.Option("--force", help=_("although a connection that is not closed has it; with --reason"))
        ] = False,
        reason: Annotated[str | None, typer.Option(help=_("why: it goes into the history"))] = None,
    ) -> None:
        from aaad.cli import leases as room

        end(terminal, lambda: room.release(terminal, of, space, reason, is_forced=is_forced))


def _add_secondary(group: typer.Typer, terminal: Terminal, _: Speaker) -> None:
    @group.command(
        "secondary",
        help=_(
            "Give a login the next free secondary network of its concentrator (Busca Automática de IP Secundário)."
        ),
    )
    def secondary(
        login: Annotated[str, typer.Argument(help=_("name or id"))],
        nas: Annotated[
            str | None, typer.Option(help=_("of this concentrator; default: where the login is bound or connected"))
        ] = None,
        network: Annotated[
            str | None, typer.Option("--take-back", help=_("take this one away from the login instead"))
        ] = None,
    ) -> None:
        from aaad.cli import secondary as room

        if network is not None:
            end(terminal, lambda: room.take_back(terminal, login, network))
        else:
            end(terminal, lambda: room.add_secondary(terminal, login, nas))
