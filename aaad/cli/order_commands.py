"""The commands on orders to the network.

Only registers: what a command does is imported when it runs.
"""

from typing import Annotated

import typer

from aaad.cli.endings import end
from aaad.cli.making import LIMIT_DEFAULT, limit_option, new_group
from aaad.cli.terminal import Terminal
from aaad.words import Speaker

_NUMBER_MAX = 2**63 - 1
_RUN_MAX = 2**31 - 1


def add_orders(app: typer.Typer, terminal: Terminal) -> None:
    """Add `order list`, `show`, `retry`, `cancel` and `release`."""
    _ = terminal.speak
    group = new_group(app, "order", _("What must become so in the network, and what concentrators answered."))
    _add_list(group, terminal, _)
    number = Annotated[int, typer.Argument(min=1, max=_NUMBER_MAX, help=_("the order's number"))]

    @group.command("show", help=_("Show an order with every answer that is kept."))
    def show(order: number) -> None:
        from aaad.cli import orders as room

        end(terminal, lambda: room.show_order(terminal, order))

    @group.command("retry", help=_("Try an open order now, instead of at its time."))
    def retry(order: number) -> None:
        from aaad.cli import orders as room

        end(terminal, lambda: room.retry_order(terminal, order))

    @group.command("cancel", help=_("End an open order: the network stays as it is until something else changes."))
    def cancel(order: number) -> None:
        from aaad.cli import orders as room

        end(terminal, lambda: room.cancel_order(terminal, order))

    @group.command("release", help=_("Let go on what the brake holds back of a run, or drop it."))
    def release(
        run: Annotated[int, typer.Argument(min=1, max=_RUN_MAX, help=_("the run's number, as an order tells it"))],
        is_drop: Annotated[bool, typer.Option("--drop", help=_("cancel them instead"))] = False,
    ) -> None:
        from aaad.cli import orders as room

        end(terminal, lambda: room.release_run(terminal, run, is_drop=is_drop))


def _add_list(group: typer.Typer, terminal: Terminal, _: Speaker) -> None:
    @group.command("list", help=_("List orders, newest first: those that are open, unless others are asked for."))
    def list_orders(
        login: Annotated[str | None, typer.Option(help=_("of this login: name or id"))] = None,
        contract: Annotated[str | None, typer.Option(help=_("of this contract"))] = None,
        nas: Annotated[str | None, typer.Option(help=_("at this concentrator: id or name"))] = None,
        state: Annotated[
            str | None,
            typer.Option(
                help=_("todo, doing, waiting, redial, held; done, unverified, superseded, gone, given_up, cancelled")
            ),
        ] = None,
        cause: Annotated[
            str | None, typer.Option(help=_("made for this: block, unblock, plan, cap, hours, operator, …"))
        ] = None,
        run: Annotated[int | None, typer.Option(min=1, max=_RUN_MAX, help=_("of this run"))] = None,
        is_all: Annotated[bool, typer.Option("--all", help=_("also those that are over"))] = False,
        is_csv: Annotated[bool, typer.Option("--csv", help=_("as CSV, with the names of --json"))] = False,
        limit: Annotated[int, limit_option(_)] = LIMIT_DEFAULT,
    ) -> None:
        from aaad.cli import orders as room

        typed = room.Filter(login, contract, nas, state, cause, run, is_all)
        end(terminal, lambda: room.list_orders(terminal, typed, limit, is_csv=is_csv))
