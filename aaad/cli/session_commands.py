"""The commands on connections and on the spool.

Only registers: what a command does is imported when it runs.
"""

from typing import Annotated, Any, Literal

import typer

from aaad.cli.endings import end
from aaad.cli.making import LIMIT_DEFAULT, limit_option, new_group
from aaad.cli.terminal import Terminal
from aaad.words import Speaker


def add_sessions(app: typer.Typer, terminal: Terminal) -> None:
    """Add `sessions`, `session`, `statement`, `usage` and `spool`."""
    _add_list(app, terminal, terminal.speak)
    _add_close(app, terminal, terminal.speak)
    _add_statement(app, terminal, terminal.speak)
    _add_usage(app, terminal, terminal.speak)
    _add_spool(app, terminal, terminal.speak)


def _csv_option(_: Speaker) -> Any:
    return typer.Option("--csv", help=_("as CSV, with the names of --json"))


def _add_list(app: typer.Typer, terminal: Terminal, _: Speaker) -> None:
    @app.command("sessions", help=_("List connections: those that are not closed, or with --state those that are."))
    def sessions(
        login: Annotated[
            str | None, typer.Option(help=_("of this login: name or id; or of a name that is none"))
        ] = None,
        client: Annotated[str | None, typer.Option(help=_("of this client, when they began"))] = None,
        contract: Annotated[str | None, typer.Option(help=_("of this contract, when they began"))] = None,
        nas: Annotated[str | None, typer.Option(help=_("at this concentrator: id or name"))] = None,
        plan: Annotated[str | None, typer.Option(help=_("of this plan, when they began"))] = None,
        address: Annotated[
            str | None, typer.Option(help=_("with this address, or in this network or prefix"))
        ] = None,
        mac: Annotated[str | None, typer.Option(help=_("of this device"))] = None,
        state: Annotated[
            Literal["open", "suspended", "closed"] | None, typer.Option(help=_("default: open and suspended"))
        ] = None,
        since: Annotated[
            str | None,
            typer.Option(
                help=_(
                    "begun since then, or with --state closed last heard since then (default there: 24h, if no "
                    "login, address or device is named); 2h, 2026-11-01 or 2026-11-01 10:30, in each session's own "
                    "zone unless one stands behind it"
                )
            ),
        ] = None,
        cause: Annotated[
            str | None,
            typer.Option(
                help=_("closed ones that ended so: nas-reboot, lost-carrier, 2, … or replaced, lost, operator, …")
            ),
        ] = None,
        is_count: Annotated[bool, typer.Option("--count", help=_("only how many, by concentrator and plan"))] = False,
        is_csv: Annotated[bool, _csv_option(_)] = False,
        limit: Annotated[int, limit_option(_)] = LIMIT_DEFAULT,
    ) -> None:
        from aaad.cli import sessions as room

        typed = room.Filter(login, client, contract, nas, plan, address, mac, state, since, cause)
        if is_count:
            end(terminal, lambda: room.count_sessions(terminal, typed, is_csv=is_csv))
        else:
            end(terminal, lambda: room.list_sessions(terminal, typed, limit, is_csv=is_csv))


def _add_close(app: typer.Typer, terminal: Terminal, _: Speaker) -> None:
    group = new_group(app, "session", _("One connection."))

    @group.command(
        "close",
        help=_(
            "Say that one has ended, where nothing else tells it. Disconnects nobody; a later record opens it again."
        ),
    )
    def close(
        session: Annotated[
            str, typer.Argument(help=_("as `aaad sessions` names it, or a login that has one that is not closed"))
        ],
        reason: Annotated[str, typer.Option(help=_("why: it goes into the history"))],
    ) -> None:
        from aaad.cli import session_close as room

        end(terminal, lambda: room.close_session(terminal, session, reason))

    @group.command(
        "disconnect",
        help=_("End one in the network (Fechar Conexão Atual): the customer may dial anew at once."),
    )
    def disconnect(
        session: Annotated[
            str, typer.Argument(help=_("as `aaad sessions` names it, or a login that has one that is not closed"))
        ],
        reason: Annotated[str, typer.Option(help=_("why: it goes into the history"))],
        wait_s: Annotated[
            float, typer.Option("--wait", min=0, max=600, help=_("seconds to wait until it is seen; 0: not at all"))
        ] = 10.0,
    ) -> None:
        from aaad.cli import session_disconnect as room

        end(terminal, lambda: room.disconnect_session(terminal, session, reason, wait_s))


def _add_statement(app: typer.Typer, terminal: Terminal, _: Speaker) -> None:
    @app.command(
        "statement",
        help=_("Show a login's connections of a period (extrato): by time, device or traffic, with sums."),
    )
    def statement(
        login: Annotated[str, typer.Argument(help=_("name or id; also of one that was deleted"))],
        by: Annotated[
            Literal["time", "mac", "traffic"],
            typer.Option(help=_("in order of time, one row a device, or those with most traffic first")),
        ] = "time",
        since: Annotated[
            str | None,
            typer.Option(
                "--from",
                help=_(
                    "first day or instant; default: 30 days before the end. In each session's own zone unless one "
                    "stands behind it: 2026-11-01, 2026-11, 2026-11-01 10:30, 2026-11-01 10:30 -03:00"
                ),
            ),
        ] = None,
        until: Annotated[
            str | None,
            typer.Option("--to", help=_("last day or instant, as --from; that day included; default: now")),
        ] = None,
        is_csv: Annotated[bool, _csv_option(_)] = False,
        limit: Annotated[int, limit_option(_)] = 1_000,
    ) -> None:
        from aaad.cli import statement as room

        end(terminal, lambda: room.show_statement(terminal, login, by, since, until, limit, is_csv=is_csv))


def _add_usage(app: typer.Typer, terminal: Terminal, _: Speaker) -> None:
    @app.command("usage", help=_("Show what a login has used: by day, by month, or of its plan's cap."))
    def usage(
        login: Annotated[str, typer.Argument(help=_("name or id; also of one that was deleted"))],
        by: Annotated[
            Literal["day", "month", "cap"],
            typer.Option(help=_("day, month, or cap: by the periods of the plan's cap")),
        ] = "day",
        since: Annotated[
            str | None,
            typer.Option(
                "--from",
                help=_(
                    "first day, in each session's own zone: 2026-11-01 or 2026-11; default: the last 30 days, "
                    "12 months or the period of the cap"
                ),
            ),
        ] = None,
        until: Annotated[
            str | None, typer.Option("--to", help=_("last day, included; default: today in the branch's zone"))
        ] = None,
        is_csv: Annotated[bool, _csv_option(_)] = False,
    ) -> None:
        from aaad.cli import usage as room

        end(terminal, lambda: room.show_usage(terminal, login, by, since, until, is_csv=is_csv))


def _add_spool(app: typer.Typer, terminal: Terminal, _: Speaker) -> None:
    group = new_group(app, "spool", _("What lies on this node's disk and is not in PostgreSQL yet."))
    slot_option = typer.Option(help=_("only this slot's, such as radius-0"))

    @group.command("show", help=_("Show what each process's spool holds, and what is at risk."))
    def show(is_csv: Annotated[bool, _csv_option(_)] = False) -> None:
        from aaad.cli import spool as room

        end(terminal, lambda: room.show_spools(terminal, is_csv=is_csv))

    @group.command(
        "verify", help=_("Check every record's checksum. Changes nothing. Exit code 1 if anything is wrong.")
    )
    def verify(
        slot: Annotated[str | None, slot_option] = None,
        is_csv: Annotated[bool, _csv_option(_)] = False,
    ) -> None:
        from aaad.cli import spool as room

        end(terminal, lambda: room.verify_spools(terminal, slot, is_csv=is_csv))

    @group.command("export", help=_("Write the records as lines of JSON, attributes by name. Changes nothing."))
    def export(
        target: Annotated[
            str, typer.Argument(metavar="FILE", help=_("a new file, which only you may read; -: standard output"))
        ],
        slot: Annotated[str | None, slot_option] = None,
        since: Annotated[
            str | None,
            typer.Option(
                "--from", help=_("appended since then; without a zone: in this machine's; 2h, 2026-11-01 10:30")
            ),
        ] = None,
        until: Annotated[
            str | None, typer.Option("--to", help=_("appended until then, that minute or day included"))
        ] = None,
        only_undrained: Annotated[
            bool, typer.Option("--undrained", help=_("only those that are not in PostgreSQL yet"))
        ] = False,
    ) -> None:
        from aaad.cli import spool as room

        end(
            terminal,
            lambda: room.export_spools(terminal, target, slot, since, until, only_undrained=only_undrained),
        )

    @group.command(
        "adopt",
        help=_(
            "Drain from here what this node mirrors of another one's spool, whose disk is lost. Needs PostgreSQL."
        ),
    )
    def adopt(
        node: Annotated[str, typer.Argument(help=_("the node whose disk is lost"))],
        is_forced: Annotated[bool, typer.Option("--force", help=_("although the node was heard lately"))] = False,
        is_sure: Annotated[bool, typer.Option("--yes", help=_("do not ask"))] = False,
    ) -> None:
        from aaad.cli import spool_mirror as room

        end(terminal, lambda: room.adopt_mirror(terminal, node, is_forced=is_forced, is_sure=is_sure))
