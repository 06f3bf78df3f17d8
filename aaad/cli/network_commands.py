"""The commands on concentrators and router administrators.

Only registers: what a command does is imported when it runs. A secret is never an argument, where others can read it:
`-` reads it from standard input, and without it one is made and shown once.
"""

from typing import Annotated, Any, Literal

import typer

from aaad.cli.endings import end
from aaad.cli.making import LIMIT_DEFAULT, add_command, add_shared, limit_option, new_group, options_of, word
from aaad.cli.terminal import Terminal, WrongInputError
from aaad.erp.network import tables
from aaad.words import Speaker

_NUMBER_MAX = 2**31 - 1
_CLOSED_MAX = 200_000
_HOURS_DEFAULT, _HOURS_MAX = 24.0, 24.0 * 366


def add_network(app: typer.Typer, terminal: Terminal) -> None:
    """Add `nas` and `router-admin`."""
    _add_nases(app, terminal, terminal.speak)
    _add_administrators(app, terminal, terminal.speak)


def _add_nases(app: typer.Typer, terminal: Terminal, _: Speaker) -> None:
    group = new_group(app, "nas", _("The concentrators."))

    def add(secret: str | None, **words: str | None) -> None:
        from aaad.cli import nas

        end(terminal, lambda: nas.add_nas(terminal, words, _typed(terminal, secret)))

    made = word("secret", _("only -: read it from standard input; without it one is made and shown once"))
    add_command(group, "add", _("Write a new one."), [*options_of(tables.NAS, _), made], add)
    add_shared(group, terminal, tables.NAS, "nas", _("id or name"))

    @group.command("list", help=_("List concentrators."))
    def list_nases(
        search: Annotated[str, typer.Argument(help=_("part of a name, or an address"))] = "",
        limit: Annotated[int, limit_option(_)] = LIMIT_DEFAULT,
    ) -> None:
        from aaad.cli import nas

        end(terminal, lambda: nas.list_nases(terminal, search, limit))

    @group.command("problems", help=_("Show what is wrong with routers. Exit code 1 if anything is."))
    def problems() -> None:
        from aaad.cli import nas

        end(terminal, lambda: nas.show_problems(terminal))

    @group.command("message-auth", help=_("Free a NAS's routers from the duty to send Message-Authenticator."))
    def message_auth(
        name: Annotated[str, typer.Argument(help=_("the NAS's name"))],
        action: Annotated[Literal["reset"], typer.Argument(help=_("only reset: until they send it again"))],
    ) -> None:
        from aaad.cli import operate

        assert action == "reset"
        end(terminal, lambda: operate.reset_message_authenticator(terminal, name))

    _add_secrets(group, terminal, _)
    _add_api(group, terminal, _)


def _add_secrets(group: typer.Typer, terminal: Terminal, _: Speaker) -> None:
    source = typer.Option(help=_("only -: read it from standard input; without it one is made and shown once"))
    which = typer.Argument(help=_("id or name"))

    @group.command("rotate-secret", help=_("Give one a new secret; the old one is believed for some hours more."))
    def rotate_secret(
        name: Annotated[str, which],
        secret: Annotated[str | None, source] = None,
        hours: Annotated[
            float, typer.Option(min=0, max=_HOURS_MAX, help=_("how long the old secret is believed; 0: not at all"))
        ] = _HOURS_DEFAULT,
        is_end: Annotated[
            bool, typer.Option("--end", help=_("no new secret: the previous one is not believed any more"))
        ] = False,
    ) -> None:
        from aaad.cli import nas

        if is_end:
            end(terminal, lambda: nas.end_previous_secret(terminal, name))
        else:
            end(terminal, lambda: nas.rotate_secret(terminal, name, _typed(terminal, secret), hours))

    further = new_group(group, "secret", _("Further secrets, for several routers behind one address."))

    @further.command("add", help=_("Add one; the router that proves it is answered with it."))
    def add_secret(
        name: Annotated[str, which],
        secret: Annotated[str | None, source] = None,
        note: Annotated[str, typer.Option(help=_("whose it is"))] = "",
        hours: Annotated[
            float, typer.Option(min=0, max=_HOURS_MAX, help=_("how long it is believed; 0: for ever"))
        ] = 0.0,
    ) -> None:
        from aaad.cli import nas

        end(terminal, lambda: nas.add_secret(terminal, name, _typed(terminal, secret), note, hours))

    @further.command("delete", help=_("Take one away."))
    def delete_secret(
        name: Annotated[str, which],
        number: Annotated[int, typer.Argument(min=1, max=_NUMBER_MAX, help=_("its number, as `nas show` says"))],
    ) -> None:
        from aaad.cli import nas

        end(terminal, lambda: nas.delete_secret(terminal, name, number))


def _add_api(group: typer.Typer, terminal: Terminal, _: Speaker) -> None:
    @group.command("api-password", help=_("Give the password with which one's API is asked."))
    def api_password(
        name: Annotated[str, typer.Argument(help=_("id or name"))],
        source: Annotated[str | None, _source_option(_)] = None,
    ) -> None:
        from aaad.cli import router_api

        end(terminal, lambda: router_api.set_password(terminal, name, _typed(terminal, source)))

    @group.command("pools", help=_("Ask a router for its own pools, and how much of them is in use."))
    def pools(name: Annotated[str, typer.Argument(help=_("id or name"))]) -> None:
        from aaad.cli import router_api

        end(terminal, lambda: router_api.show_pools(terminal, name))

    @group.command(
        "doctor",
        help=_("Say what is wrong with a router's settings, and what mends it. Exit code 1 if anything is."),
    )
    def doctor(name: Annotated[str, typer.Argument(help=_("id or name"))]) -> None:
        from aaad.cli import router_doctor

        end(terminal, lambda: router_doctor.examine_router(terminal, name))

    @group.command(
        "reconcile",
        help=_("Compare who is connected there with who is here. Exit code 1 if anything differs."),
    )
    def reconcile(
        name: Annotated[str, typer.Argument(help=_("id or name"))],
        is_written: Annotated[
            bool, typer.Option("--write", help=_("close what is open here and gone there"))
        ] = False,
        at_most: Annotated[int, typer.Option(min=1, max=_CLOSED_MAX, help=_("no more than so many"))] = 100,
        limit: Annotated[int, limit_option(_)] = LIMIT_DEFAULT,
    ) -> None:
        from aaad.cli import router_reconcile

        end(
            terminal,
            lambda: router_reconcile.reconcile(terminal, name, limit, is_written=is_written, at_most=at_most),
        )


def _add_administrators(app: typer.Typer, terminal: Terminal, _: Speaker) -> None:
    group = new_group(app, "router-admin", _("Who may log in to routers."))

    def add(password: str | None, **words: str | None) -> None:
        from aaad.cli import router_admins

        end(terminal, lambda: router_admins.add_administrator(terminal, words, _typed(terminal, password)))

    made = word("password", _("only -: read it from standard input; without it one is made and shown once"))
    add_command(group, "add", _("Write a new one."), [*options_of(tables.ROUTER_ADMINISTRATOR, _), made], add)
    add_shared(group, terminal, tables.ROUTER_ADMINISTRATOR, "router_admins", _("id or name"))

    @group.command("list", help=_("List router administrators."))
    def list_administrators(
        search: Annotated[str, typer.Argument(help=_("part of a name"))] = "",
        limit: Annotated[int, limit_option(_)] = LIMIT_DEFAULT,
    ) -> None:
        from aaad.cli import router_admins

        end(terminal, lambda: router_admins.list_administrators(terminal, search, limit))

    @group.command("password", help=_("Give one a new password."))
    def password(
        name: Annotated[str, typer.Argument(help=_("id or name"))],
        source: Annotated[str | None, _source_option(_)] = None,
    ) -> None:
        from aaad.cli import router_admins

        end(terminal, lambda: router_admins.set_password(terminal, name, _typed(terminal, source)))


def _source_option(_: Speaker) -> Any:
    """Return the option that says where a secret comes from."""
    return typer.Option("--set", help=_("only -: read it from standard input; without it one is made and shown once"))


def _typed(terminal: Terminal, source: str | None) -> str | None:
    """Return the secret from standard input if that was asked for."""
    _ = terminal.speak
    if source is None:
        return None
    if source != "-":
        terminal.complain(_("A password is never an argument, where others can read it: say - and type it."))
        raise WrongInputError
    return terminal.read_secret(_("New password"))
