"""The commands on the agenda. Only registers: what a command does is imported when it runs."""

from typing import Annotated, Literal

import typer

from aaad.cli.endings import end
from aaad.cli.making import LIMIT_DEFAULT, limit_option, new_group
from aaad.cli.terminal import Terminal
from aaad.words import Speaker

_NUMBER_MAX = 2**31 - 1


def add_agenda(app: typer.Typer, terminal: Terminal) -> None:
    """Add the commands on the agenda."""
    _ = terminal.speak
    group = new_group(app, "agenda", _("What comes due: notices, blocks, ends, changes at a date."))
    _add_seeing(group, terminal, _)
    _add_steering(group, terminal, _)
    _add_holidays(group, terminal, _)


def _add_seeing(group: typer.Typer, terminal: Terminal, _: Speaker) -> None:
    @group.command("list", help=_("List tasks: what is to be done, and what failed."))
    def list_tasks(
        state: Annotated[
            Literal["todo", "held", "done", "failed", "cancelled"] | None, typer.Option(help=_("only in this state"))
        ] = None,
        kind: Annotated[str | None, typer.Option(help=_("only of this kind, such as block"))] = None,
        contract: Annotated[str | None, typer.Option(help=_("only of this contract"))] = None,
        of_run: Annotated[
            int | None, typer.Option("--run", min=1, max=_NUMBER_MAX, help=_("only of this run"))
        ] = None,
        ended: Annotated[bool, typer.Option("--all", help=_("what is over, too"))] = False,
        limit: Annotated[int, limit_option(_)] = LIMIT_DEFAULT,
    ) -> None:
        from aaad.cli import agenda as room

        end(terminal, lambda: room.list_tasks(terminal, room.Filter(state, kind, contract, of_run, ended), limit))

    @group.command("show", help=_("Show everything about a task."))
    def show(number: Annotated[int, typer.Argument(min=1, help=_("its number"))]) -> None:
        from aaad.cli import agenda as room

        end(terminal, lambda: room.show_task(terminal, number))

    @group.command("run", help=_("Plan and do what is due, here and now."))
    def run(
        dry: Annotated[
            bool, typer.Option("--dry-run", help=_("only say what would happen, and why the rest would not"))
        ] = False,
        limit: Annotated[int, limit_option(_)] = LIMIT_DEFAULT,
    ) -> None:
        from aaad.cli import agenda as room

        end(terminal, lambda: room.run(terminal, limit, is_dry=dry))


def _add_steering(group: typer.Typer, terminal: Terminal, _: Speaker) -> None:
    @group.command("add", help=_("Put a change on the agenda."))
    def add(
        kind: Annotated[
            Literal["disconnect", "change-plan", "block", "unblock", "cancel"], typer.Argument(help=_("what to do"))
        ],
        at: Annotated[
            str | None, typer.Option(help=_("when, as 2026-11-30 06:00 in the branch's zone; default: now"))
        ] = None,
        contract: Annotated[str | None, typer.Option(help=_("the contract"))] = None,
        login: Annotated[str | None, typer.Option(help=_("to disconnect: a login instead"))] = None,
        plan: Annotated[str | None, typer.Option(help=_("to change the plan: the new one"))] = None,
        reason: Annotated[
            str | None, typer.Option(help=_("why: of a change of plan I, U, D, M, T, L, N or R"))
        ] = None,
    ) -> None:
        from aaad.cli import agenda as room

        addition = room.Addition(kind, at, contract, login, plan, reason)
        end(terminal, lambda: room.add(terminal, addition))

    @group.command("cancel", help=_("Take a task, or all of a run, off the agenda."))
    def cancel(
        number: Annotated[int | None, typer.Argument(min=1, help=_("the task's number"))] = None,
        of_run: Annotated[
            int | None, typer.Option("--run", min=1, max=_NUMBER_MAX, help=_("all of this run"))
        ] = None,
    ) -> None:
        from aaad.cli import agenda as room

        end(terminal, lambda: room.cancel(terminal, number, of_run))

    @group.command("retry", help=_("Try a task that failed once more, at once."))
    def retry(number: Annotated[int, typer.Argument(min=1, help=_("the task's number"))]) -> None:
        from aaad.cli import agenda as room

        end(terminal, lambda: room.retry(terminal, number))

    @group.command("release", help=_("Let go what the brake holds of a run."))
    def release(number: Annotated[int, typer.Argument(min=1, max=_NUMBER_MAX, help=_("the run's number"))]) -> None:
        from aaad.cli import agenda as room

        end(terminal, lambda: room.release(terminal, number))


def _add_holidays(group: typer.Typer, terminal: Terminal, _: Speaker) -> None:
    @group.command("holidays", help=_("List days off besides the national ones."))
    def holidays(
        past: Annotated[bool, typer.Option("--all", help=_("those that are over, too"))] = False,
        limit: Annotated[int, limit_option(_)] = LIMIT_DEFAULT,
    ) -> None:
        from aaad.cli import agenda as room

        end(terminal, lambda: room.list_holidays(terminal, limit, with_past=past))

    @group.command("add-holiday", help=_("Write a day off of a state or town."))
    def add_holiday(
        day: Annotated[str, typer.Argument(help=_("the day, as 2026-08-25"))],
        name: Annotated[str, typer.Argument(help=_("what it is called"))],
        branch: Annotated[str | None, typer.Option(help=_("only of this branch"))] = None,
    ) -> None:
        from aaad.cli import agenda as room

        end(terminal, lambda: room.add_holiday(terminal, day, name, branch))

    @group.command("delete-holiday", help=_("Take a day off away."))
    def delete_holiday(
        number: Annotated[int, typer.Argument(min=1, max=_NUMBER_MAX, help=_("its number"))],
    ) -> None:
        from aaad.cli import agenda as room

        end(terminal, lambda: room.delete_holiday(terminal, number))
