"""The commands on the legal question and the maps of carrier NAT. Only registers: code is imported when it runs."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from aaad.cli.endings import end
from aaad.cli.making import LIMIT_DEFAULT, limit_option, new_group
from aaad.cli.terminal import Terminal
from aaad.words import Speaker

_SPACE_MAX = 2**31 - 2
_NUMBER_MAX = 2**31 - 1
_PORTS_MAX = 65_535


def add_whois(app: typer.Typer, terminal: Terminal) -> None:
    """Add `whois`, `whois-verify` and `cgnat`."""
    _add_question(app, terminal, terminal.speak)
    _add_maps(app, terminal, terminal.speak)


def _add_question(app: typer.Typer, terminal: Terminal, _: Speaker) -> None:
    @app.command(
        help=_(
            "Tell who had an address, and a port of it, at a time. Each question is recorded. Exit code 1 if nobody "
            "had it."
        )
    )
    def whois(
        address: Annotated[
            str,
            typer.Argument(
                help=_("203.0.113.9, 203.0.113.9:40123, 2001:db8::1, [2001:db8::1]:40123 or 2001:db8::/56")
            ),
        ] = "",
        at: Annotated[str, typer.Option(help=_("when, with its zone: '2026-11-20 03:15:22 GMT-3', or 'now'"))] = "",
        first: Annotated[str, typer.Option("--from", help=_("or from when, with its zone"))] = "",
        last: Annotated[str, typer.Option("--to", help=_("and to when"))] = "",
        zone: Annotated[str, typer.Option(help=_("the zone of instants that name none"))] = "",
        margin: Annotated[str, typer.Option(help=_("look so long before and after, too: 90s, 5m, 1h"))] = "",
        port: Annotated[str, typer.Option(help=_("the port, if it does not stand behind the address"))] = "",
        space: Annotated[str, typer.Option(help=_("only in this address space"))] = "",
        file: Annotated[
            Path | None, typer.Option(help=_("a CSV of many questions; its first line names the columns"))
        ] = None,
        ignores_columns: Annotated[
            bool, typer.Option("--ignore-columns", help=_("columns of the table that nobody knows do not matter"))
        ] = False,
        is_csv: Annotated[bool, typer.Option("--csv", help=_("answer as CSV"))] = False,
        evidence: Annotated[
            Path | None, typer.Option(help=_("write a signed file NAME.json and a PDF beside it, and record it"))
        ] = None,
        order: Annotated[str, typer.Option(help=_("number of the order; it is recorded"))] = "",
        reason: Annotated[str, typer.Option(help=_("why it is asked; it is recorded"))] = "",
    ) -> None:
        from aaad.cli import whois as room
        from aaad.sessions.question import Words

        words = Words(address, port, at, first, last, zone, margin, space)
        wish = room.Wish(words, file, is_csv, evidence, order, reason, ignores_columns)
        end(terminal, lambda: room.run(terminal, wish))

    @app.command(
        "whois-verify",
        help=_(
            "Check an evidence file: its content, its signature, and that it was issued here. Exit code 1 if not."
        ),
    )
    def whois_verify(file: Annotated[Path, typer.Argument(help=_("the file NAME.json"))]) -> None:
        from aaad.cli import whois as room

        end(terminal, lambda: room.verify(terminal, file))


def _add_maps(app: typer.Typer, terminal: Terminal, _: Speaker) -> None:
    group = new_group(app, "cgnat", _("The maps of carrier NAT; a map is ended and replaced, never changed."))
    name = typer.Option(help=_("the map's name; imported blocks have one together"))
    since = typer.Option("--from", help=_("since when it holds, with the zone, or 'now'"))
    space = typer.Option(min=1, max=_SPACE_MAX, help=_("address space of the private addresses"))

    @group.command("add", help=_("Add a map that is computed: each private address has a block of ports."))
    def add(
        name: Annotated[str, name],
        private: Annotated[str, typer.Option(help=_("100.64.0.0/24, or 100.64.0.1-100.64.0.254"))],
        public: Annotated[str, typer.Option(help=_("203.0.113.0/29, or 203.0.113.1-203.0.113.6"))],
        ports_each: Annotated[int, typer.Option(min=1, max=_PORTS_MAX, help=_("ports of one private address"))],
        since: Annotated[str, since],
        ports: Annotated[str, typer.Option(help=_("ports of a public address that are given out"))] = "1024-65535",
        layout: Annotated[
            Literal["fill", "spread"],
            typer.Option(
                help=_("fill: one public address after the other; spread: a block of each, then the next block")
            ),
        ] = "fill",
        space: Annotated[int, space] = 1,
    ) -> None:
        from aaad.cli import cgnat

        typed = cgnat.Typed(name, private, public, ports, ports_each, layout, space, since)
        end(terminal, lambda: cgnat.add(terminal, typed))

    @group.command("import", help=_("Add the blocks of a CSV with private_ip, public_ip, port_start and port_end."))
    def import_blocks(
        file: Annotated[Path, typer.Argument(help=_("the file"))],
        name: Annotated[str, name],
        since: Annotated[str, since],
        space: Annotated[int, space] = 1,
    ) -> None:
        from aaad.cli import cgnat

        end(terminal, lambda: cgnat.import_blocks(terminal, file, name, space, since))

    _add_looking(group, terminal, _)


def _add_looking(group: typer.Typer, terminal: Terminal, _: Speaker) -> None:
    @group.command("list", help=_("List the maps that hold or will hold."))
    def list_maps(
        name: Annotated[str, typer.Argument(help=_("only those of this name"))] = "",
        has_ended: Annotated[bool, typer.Option("--all", help=_("ended ones, too"))] = False,
        limit: Annotated[int, limit_option(_)] = LIMIT_DEFAULT,
    ) -> None:
        from aaad.cli import cgnat

        end(terminal, lambda: cgnat.list_maps(terminal, name, has_ended=has_ended, limit=limit))

    @group.command("show", help=_("Show which ports each private address has, to compare with the router."))
    def show(
        number: Annotated[int, typer.Argument(min=1, max=_NUMBER_MAX, help=_("the map's number"))],
        address: Annotated[str, typer.Option(help=_("only of this private address"))] = "",
        is_csv: Annotated[bool, typer.Option("--csv", help=_("answer as CSV"))] = False,
    ) -> None:
        from aaad.cli import cgnat

        end(terminal, lambda: cgnat.show_map(terminal, number, address, is_csv=is_csv))

    @group.command("end", help=_("End a map, or all of a name. Exit code 1 if none of them goes on."))
    def end_map(
        which: Annotated[str, typer.Argument(help=_("number or name"))],
        at: Annotated[str, typer.Option(help=_("from when it does not hold any more, with the zone"))] = "now",
        is_mistake: Annotated[
            bool, typer.Option("--mistake", help=_("it was typed wrong and never held at all"))
        ] = False,
    ) -> None:
        from aaad.cli import cgnat

        end(terminal, lambda: cgnat.end_map(terminal, which, at, is_mistake=is_mistake))
