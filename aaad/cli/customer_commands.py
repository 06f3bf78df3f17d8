"""The commands on clients, plans, contracts and logins, with options made of the tables in `aaad.erp.fields`.

Only registers: what a command does is imported when it runs.
"""

import inspect
from collections.abc import Callable
from typing import Annotated, Literal

import typer

from aaad.cli.endings import end
from aaad.cli.making import (
    LIMIT_DEFAULT,
    add_command,
    add_common,
    add_shared,
    argument,
    generate,
    group_of,
    limit_option,
    new_group,
    options_of,
    sure,
    word,
)
from aaad.cli.terminal import Terminal, WrongInputError
from aaad.erp import fields
from aaad.words import Speaker

_DAYS_MAX = 30  # of a trust unlock, and of a release for a time
_REDUCTION_DAYS_MAX = 60
_PERCENT_MAX = 10_000


def add_customers(app: typer.Typer, terminal: Terminal) -> None:
    """Add the commands on what is sold, to whom, and what dials."""
    _add_clients(app, terminal, terminal.speak)
    _add_plans(app, terminal, terminal.speak)
    _add_phases(group_of(app, "plan"), terminal, terminal.speak)
    _add_attributes(group_of(app, "plan"), terminal, "plan", terminal.speak)
    _add_contracts(app, terminal, terminal.speak)
    _add_states(group_of(app, "contract"), terminal, terminal.speak)
    _add_changes(group_of(app, "contract"), terminal, terminal.speak)
    _add_logins(app, terminal, terminal.speak)
    _add_secrets(group_of(app, "login"), terminal, terminal.speak)
    _add_attributes(group_of(app, "login"), terminal, "login", terminal.speak)


def _add_clients(app: typer.Typer, terminal: Terminal, _: Speaker) -> None:
    group = new_group(app, "client", _("The clients."))
    add_common(group, terminal, fields.CLIENT, "customers", _("id, CPF, CNPJ, whole name, or circuit"))

    @group.command("list", help=_("List clients."))
    def list_clients(
        search: Annotated[str, typer.Argument(help=_("part of a name; CPF, CNPJ, phone or circuit"))] = "",
        limit: Annotated[int, limit_option(_)] = LIMIT_DEFAULT,
    ) -> None:
        from aaad.cli import customers

        end(terminal, lambda: customers.list_clients(terminal, search, limit))


def _add_plans(app: typer.Typer, terminal: Terminal, _: Speaker) -> None:
    group = new_group(app, "plan", _("The plans."))
    add_common(group, terminal, fields.PLAN, "plans", _("id or name"))

    @group.command("list", help=_("List plans."))
    def list_plans(
        search: Annotated[str, typer.Argument(help=_("part of a name"))] = "",
        limit: Annotated[int, limit_option(_)] = LIMIT_DEFAULT,
    ) -> None:
        from aaad.cli import plans

        end(terminal, lambda: plans.list_plans(terminal, search, limit))


def _add_phases(group: typer.Typer, terminal: Terminal, _: Speaker) -> None:
    def set_phase(plan: str, phase: str, percent: int | None, **words: str | None) -> None:
        from aaad.cli import plans

        end(terminal, lambda: plans.set_phase(terminal, plan, phase, words, percent))

    percent = inspect.Parameter(
        "percent",
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[
            int | None, typer.Option(min=1, max=_PERCENT_MAX, help=_("speeds as a percentage of the plan's"))
        ],
    )
    which = inspect.Parameter(
        "phase",
        inspect.Parameter.KEYWORD_ONLY,
        annotation=Annotated[Literal["reduced", "turbo"], typer.Argument(help=_("reduced or turbo"))],
    )
    add_command(
        group,
        "phase",
        _("Give a plan another speed at some hours."),
        [argument("plan", _("id or name")), which, *options_of(fields.PLAN_PHASE, _), percent],
        set_phase,
    )

    @group.command("delete-phase", help=_("Take one of a plan's phases away."))
    def delete_phase(
        plan: Annotated[str, typer.Argument(help=_("id or name"))],
        phase: Annotated[Literal["reduced", "turbo"], typer.Argument(help=_("reduced or turbo"))],
    ) -> None:
        from aaad.cli import plans

        end(terminal, lambda: plans.delete_phase(terminal, plan, phase))


def _add_attributes(group: typer.Typer, terminal: Terminal, thing: str, _: Speaker) -> None:
    @group.command("attribute", help=_("Add an extra RADIUS attribute; without a value take it away."))
    def attribute(
        which: Annotated[str, typer.Argument(help=_("name or id"))],
        name: Annotated[str, typer.Argument(help=_("the attribute's name in the dictionary"))],
        value: Annotated[str | None, typer.Argument(help=_("its value"))] = None,
    ) -> None:
        from aaad.cli import plans

        end(terminal, lambda: plans.set_attribute(terminal, thing, which, name, value))


def _add_contracts(app: typer.Typer, terminal: Terminal, _: Speaker) -> None:
    group = new_group(app, "contract", _("The contracts."))
    add_common(group, terminal, fields.CONTRACT, "contracts", _("id, circuit, or a login of it"))

    @group.command("list", help=_("List contracts."))
    def list_contracts(
        client: Annotated[str | None, typer.Option(help=_("only of this client"))] = None,
        plan: Annotated[str | None, typer.Option(help=_("only of this plan"))] = None,
        status: Annotated[str | None, typer.Option(help=_(fields.CONTRACT.field("status").allowed))] = None,
        access_status: Annotated[
            str | None, typer.Option(help=_(fields.CONTRACT.field("access_status").allowed))
        ] = None,
        limit: Annotated[int, limit_option(_)] = LIMIT_DEFAULT,
    ) -> None:
        from aaad.cli import contracts

        wanted = contracts.Filter(client, plan, status, access_status)
        end(terminal, lambda: contracts.list_contracts(terminal, wanted, limit))

    @group.command("trust-unlock", help=_("Unblock a contract on a promise, once until the receivable is paid."))
    def trust_unlock(
        contract: Annotated[str, typer.Argument(help=_("id, circuit, or a login of it"))],
        days: Annotated[int | None, typer.Option(min=1, max=_DAYS_MAX, help=_("default: as many as allowed"))] = None,
    ) -> None:
        from aaad.cli import contract_life

        end(terminal, lambda: contract_life.unlock_on_trust(terminal, contract, days))

    @group.command("circuit", help=_("Give a contract a circuit, by default made of city, client and number."))
    def circuit(
        contract: Annotated[str, typer.Argument(help=_("id, circuit, or a login of it"))],
        name: Annotated[str, typer.Argument(help=_("the circuit's name; default: made"))] = "",
    ) -> None:
        from aaad.cli import contracts

        end(terminal, lambda: contracts.set_circuit(terminal, contract, name))


def _add_states(group: typer.Typer, terminal: Terminal, _: Speaker) -> None:
    texts = {
        "block": _("Block a contract by hand (CM)."),
        "unblock": _("Unblock a contract, whoever blocked it."),
        "notify": _("Give notice that a payment is late (FA); it still connects."),
        "await-signature": _("Let a contract await its signature (AA)."),
        "sign": _("Write that a contract was signed."),
        "suspend": _("Suspend a contract at the client's wish."),
        "resume": _("End a suspension."),
        "activate": _("Activate a contract that was not signed yet, inactive or blacklisted."),
    }
    options = {
        "suspend": (
            word("suspended_from", _("first day; default: today")),
            word("suspended_until", _("last day; default: as long as allowed")),
        ),
    }
    for name, text in texts.items():
        add_command(
            group,
            name,
            text,
            [argument("contract", _("id, circuit, or a login of it")), *options.get(name, ()), sure(_)],
            _changer(terminal, name),
        )


def _changer(terminal: Terminal, name: str) -> Callable[..., None]:
    def change(contract: str, is_sure: bool, **words: str | None) -> None:
        from aaad.cli import contract_life

        end(terminal, lambda: contract_life.change_state(terminal, name, contract, words, is_sure=is_sure))

    return change


def _add_changes(group: typer.Typer, terminal: Terminal, _: Speaker) -> None:
    which = typer.Argument(help=_("id, circuit, or a login of it"))
    is_said = typer.Option("--yes", help=_("do not ask"))

    @group.command("cancel", help=_("Cancel a contract (D)."))
    def cancel(
        contract: Annotated[str, which],
        cancellation_reason: Annotated[str | None, typer.Option(help=_("why"), metavar="…")] = None,
        receivables: Annotated[
            bool, typer.Option("--cancel-receivables", help=_("cancel what is not due yet, too"))
        ] = False,
        is_sure: Annotated[bool, is_said] = False,
    ) -> None:
        from aaad.cli import contract_life as life

        words = {"cancellation_reason": cancellation_reason}
        end(
            terminal,
            lambda: life.change_state(terminal, "cancel", contract, words, (receivables,), is_sure=is_sure),
        )

    def releaser(name: str, text: str, days_max: int) -> None:
        @group.command(name, help=text)
        def release(
            contract: Annotated[str, which],
            days: Annotated[
                int | None, typer.Option(min=1, max=days_max, help=_("default: as many as allowed"))
            ] = None,
        ) -> None:
            from aaad.cli import contract_life as life

            end(terminal, lambda: life.change_state(terminal, name, contract, {}, (days,), is_sure=True))

    releaser("release", _("Let an automatically blocked contract connect for some days."), _DAYS_MAX)
    releaser("release-speed", _("Give who is late the plan's full speed for some days."), _REDUCTION_DAYS_MAX)

    @group.command("change-plan", help=_("Give a contract another plan; its logins follow, the circuit goes."))
    def change_plan(
        contract: Annotated[str, which],
        plan: Annotated[str, typer.Argument(help=_("id or name"))],
        reason: Annotated[
            str | None, typer.Option(help=_(fields.CONTRACT.field("inclusion_reason").allowed), metavar="…")
        ] = None,
    ) -> None:
        from aaad.cli import contract_life as life

        end(terminal, lambda: life.change_plan(terminal, contract, plan, reason))

    @group.command("change-owner", help=_("Give a contract to another client; his debts stay the old one's."))
    def change_owner(
        contract: Annotated[str, which],
        client: Annotated[str, typer.Argument(help=_("id, CPF, CNPJ, whole name, or circuit"))],
        receivables: Annotated[
            bool, typer.Option("--cancel-receivables", help=_("cancel the old owner's open receivables of it"))
        ] = False,
        is_sure: Annotated[bool, is_said] = False,
    ) -> None:
        from aaad.cli import contract_life as life

        end(
            terminal,
            lambda: life.change_owner(
                terminal, contract, client, with_receivables_cancelled=receivables, is_sure=is_sure
            ),
        )


def _add_logins(app: typer.Typer, terminal: Terminal, _: Speaker) -> None:
    group = new_group(app, "login", _("The logins."))
    add_shared(group, terminal, fields.LOGIN, "logins", _("name or id"))

    def add(is_generated: bool, password: str | None, **words: str | None) -> None:
        from aaad.cli import logins

        def act() -> None:
            typed = _typed_password(terminal, password, is_generated=is_generated)
            if typed is None and not is_generated and terminal.is_interactive and logins.needs_password(words):
                typed = terminal.read_secret(_("New password"))
            logins.add_login(terminal, {**words, "password": typed}, is_generated=is_generated)

        end(terminal, act)

    add_command(
        group,
        "add",
        _("Write a new one."),
        [
            *options_of(fields.LOGIN, _),
            generate(_),
            word("password", _("only -: read it from standard input; a person at a terminal is asked without it")),
        ],
        add,
    )

    @group.command("list", help=_("List logins."))
    def list_logins(
        search: Annotated[str | None, typer.Argument(help=_("part of a name"))] = None,
        client: Annotated[str | None, typer.Option(help=_("only of this client"))] = None,
        contract: Annotated[str | None, typer.Option(help=_("only of this contract"))] = None,
        deleted: Annotated[bool, typer.Option("--deleted", help=_("deleted ones, too"))] = False,
        limit: Annotated[int, limit_option(_)] = LIMIT_DEFAULT,
    ) -> None:
        from aaad.cli import logins

        end(
            terminal,
            lambda: logins.list_logins(terminal, logins.Filter(client, contract, search, deleted), limit),
        )


def _add_secrets(group: typer.Typer, terminal: Terminal, _: Speaker) -> None:
    @group.command("password", help=_("Give a login a password: made here and shown once, or from standard input."))
    def password(
        login: Annotated[str, typer.Argument(help=_("name or id"))],
        generate: Annotated[bool, typer.Option("--generate", help=_("make one and show it"))] = False,
        source: Annotated[str | None, typer.Option("--set", help=_("only -: read it from standard input"))] = None,
        wpa2: Annotated[bool, typer.Option("--wpa2", help=_("the WPA2 passphrase instead"))] = False,
    ) -> None:
        from aaad.cli import logins

        def act() -> None:
            typed = _typed_password(terminal, source, is_generated=generate, is_needed=True)
            logins.set_password(terminal, login, typed, is_wpa2=wpa2)

        end(terminal, act)

    @group.command("clear-mac", help=_("Free a login from its device (limpar MAC); it learns the next one."))
    def clear_mac(login: Annotated[str, typer.Argument(help=_("name or id"))]) -> None:
        from aaad.cli import logins

        end(terminal, lambda: logins.clear(terminal, login, logins.DEVICE))

    @group.command("clear-bindings", help=_("Free a login from its device, concentrator, port and circuit."))
    def clear_bindings(login: Annotated[str, typer.Argument(help=_("name or id"))]) -> None:
        from aaad.cli import logins

        end(terminal, lambda: logins.clear(terminal, login, logins.BINDINGS))


def _typed_password(
    terminal: Terminal, source: str | None, *, is_generated: bool, is_needed: bool = False
) -> str | None:
    """Return the password from standard input if that was asked for; it is never an argument."""
    _ = terminal.speak
    if source not in (None, "-"):
        terminal.complain(_("A password is never an argument, where others can read it: say - and type it."))
        raise WrongInputError
    if is_generated and source is not None:
        terminal.complain(_("Either --generate or a password from standard input."))
        raise WrongInputError
    if source is None and not is_generated and is_needed and not terminal.is_interactive:
        terminal.complain(_("Say --generate, or --set - with the password on standard input."))
        raise WrongInputError
    if source == "-" or (is_needed and not is_generated):
        return terminal.read_secret(_("New password"))
    return None
