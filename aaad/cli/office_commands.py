"""The commands on what a provider keeps besides: contacts, receivables, parameters, operators, history, legal holds.

Also addresses, lent equipment, billing types and permissions.

Only registers: what a command does is imported when it runs.
"""

from typing import Annotated, Literal

import typer

from aaad.cli.endings import end
from aaad.cli.making import (
    LIMIT_DEFAULT,
    add_command,
    add_common,
    argument,
    limit_option,
    new_group,
    options_of,
)
from aaad.cli.terminal import Terminal
from aaad.erp import fields, reach
from aaad.erp.network import tables
from aaad.words import Speaker

_NUMBER_MAX = 2**31 - 1


def add_office(app: typer.Typer, terminal: Terminal) -> None:
    """Add the commands on what the provider keeps besides its customers."""
    _add_reach(app, terminal, terminal.speak)
    _add_equipment(app, terminal, terminal.speak)
    _add_billing_types(app, terminal, terminal.speak)
    _add_receivables(app, terminal, terminal.speak)
    _add_parameters(app, terminal, terminal.speak)
    _add_history(app, terminal, terminal.speak)
    _add_operators(app, terminal, terminal.speak)
    _add_permissions(app, terminal, terminal.speak)
    _add_legal_holds(app, terminal, terminal.speak)


def _add_reach(app: typer.Typer, terminal: Terminal, _: Speaker) -> None:
    contacts = new_group(app, "contact", _("Other people and numbers by which clients are reached."))
    add_common(contacts, terminal, reach.CONTACT, "reach:CONTACTS", _("its number"))
    addresses = new_group(
        app, "address", _("Where something is installed or billed, if not at the client's address.")
    )
    add_common(addresses, terminal, reach.ADDRESS, "reach:ADDRESSES", _("its number"))

    def add_list(group: typer.Typer, thing: str, text: str) -> None:
        @group.command("list", help=text)
        def list_of_client(
            client: Annotated[str | None, typer.Option(help=_("only of this client"))] = None,
            limit: Annotated[int, limit_option(_)] = LIMIT_DEFAULT,
        ) -> None:
            from aaad.cli import reach as room

            end(terminal, lambda: room.list_of_client(terminal, thing, client, limit))

    add_list(contacts, "contact", _("List contacts."))
    add_list(addresses, "address", _("List addresses."))


def _add_equipment(app: typer.Typer, terminal: Terminal, _: Speaker) -> None:
    group = new_group(app, "equipment", _("What customers have of the provider."))

    def lend(**words: str | None) -> None:
        from aaad.cli import equipment, records

        end(terminal, lambda: records.add(terminal, equipment.ROOM, words))

    lent = reach.LENT_EQUIPMENT._replace(
        fields=tuple(field for field in reach.LENT_EQUIPMENT.fields if field.column != "returned_on")
    )
    add_command(group, "lend", _("Write that something is lent with a contract."), options_of(lent, _), lend)

    @group.command("return", help=_("Write that something was returned."))
    def take_back(
        number: Annotated[int, typer.Argument(min=1, max=_NUMBER_MAX, help=_("its number"))],
        on: Annotated[str | None, typer.Option(help=_("the day; default: today"))] = None,
    ) -> None:
        from aaad.cli import equipment

        end(terminal, lambda: equipment.take_back(terminal, number, on))

    @group.command("list", help=_("List what is lent."))
    def list_equipment(
        contract: Annotated[str | None, typer.Option(help=_("only of this contract"))] = None,
        returned: Annotated[bool, typer.Option("--all", help=_("what was returned, too"))] = False,
        limit: Annotated[int, limit_option(_)] = LIMIT_DEFAULT,
    ) -> None:
        from aaad.cli import equipment

        end(terminal, lambda: equipment.list_equipment(terminal, contract, "", limit, with_returned=returned))

    @group.command("find", help=_("Find what is or was lent by its kind or number."))
    def find(
        search: Annotated[str, typer.Argument(help=_("part of its kind, serial number, MAC or inventory number"))],
        limit: Annotated[int, limit_option(_)] = LIMIT_DEFAULT,
    ) -> None:
        from aaad.cli import equipment

        end(terminal, lambda: equipment.list_equipment(terminal, None, search, limit, with_returned=True))


def _add_billing_types(app: typer.Typer, terminal: Terminal, _: Speaker) -> None:
    group = new_group(app, "billing-type", _("How contracts are paid, and when they are blocked."))
    add_common(group, terminal, fields.BILLING_TYPE, "billing", _("id or name"))

    @group.command("list", help=_("List billing types."))
    def list_billing_types(limit: Annotated[int, limit_option(_)] = LIMIT_DEFAULT) -> None:
        from aaad.cli import billing

        end(terminal, lambda: billing.list_billing_types(terminal, limit))


def _add_receivables(app: typer.Typer, terminal: Terminal, _: Speaker) -> None:
    group = new_group(app, "receivable", _("What clients owe."))

    def add(**words: str | None) -> None:
        from aaad.cli import billing, records

        end(terminal, lambda: records.add(terminal, billing.RECEIVABLES, words))

    add_command(group, "add", _("Write a new one."), options_of(fields.RECEIVABLE, _), add)

    @group.command("list", help=_("List receivables that are open."))
    def list_receivables(
        client: Annotated[str | None, typer.Option(help=_("only of this client"))] = None,
        contract: Annotated[str | None, typer.Option(help=_("only of this contract"))] = None,
        settled: Annotated[
            bool, typer.Option("--all", help=_("also what is paid, cancelled or renegotiated"))
        ] = False,
        limit: Annotated[int, limit_option(_)] = LIMIT_DEFAULT,
    ) -> None:
        from aaad.cli import billing

        wanted = billing.Filter(client, contract, settled)
        end(terminal, lambda: billing.list_receivables(terminal, wanted, limit))

    @group.command("pay", help=_("Write that one was paid."))
    def pay(
        number: Annotated[int, typer.Argument(min=1, max=_NUMBER_MAX, help=_("the receivable's number"))],
        on: Annotated[str | None, typer.Option(help=_("the day; default: today"))] = None,
    ) -> None:
        from aaad.cli import billing

        end(terminal, lambda: billing.settle(terminal, number, paid_on=on, is_paid=True))

    @group.command("cancel", help=_("Cancel one."))
    def cancel(
        number: Annotated[int, typer.Argument(min=1, max=_NUMBER_MAX, help=_("the receivable's number"))],
    ) -> None:
        from aaad.cli import billing

        end(terminal, lambda: billing.settle(terminal, number, paid_on=None, is_paid=False))


def _add_parameters(app: typer.Typer, terminal: Terminal, _: Speaker) -> None:
    group = new_group(app, "parameter", _("The provider's parameters."))

    @group.command("list", help=_("Show every parameter there is, with its value."))
    def list_parameters(search: Annotated[str, typer.Argument(help=_("part of a name"))] = "") -> None:
        from aaad.cli import settings

        end(terminal, lambda: settings.list_parameters(terminal, search))

    @group.command("set", help=_("Give a parameter a value, in general or of a branch."))
    def set_parameter(
        name: Annotated[str, typer.Argument(help=_("the parameter's name"))],
        value: Annotated[str | None, typer.Argument(help=_("its value; none: the default again"))] = None,
        branch: Annotated[str | None, typer.Option(help=_("of this branch only"))] = None,
    ) -> None:
        from aaad.cli import settings

        end(terminal, lambda: settings.set_parameter(terminal, name, value, branch))


def _add_history(app: typer.Typer, terminal: Terminal, _: Speaker) -> None:
    group = new_group(app, "history", _("What happened to clients, contracts and logins, and notes of people."))

    def add_thing(thing: str, text: str, meaning: str) -> None:
        @group.command(thing, help=text)
        def show(
            which: Annotated[str, typer.Argument(help=meaning)],
            limit: Annotated[int, limit_option(_)] = LIMIT_DEFAULT,
        ) -> None:
            from aaad.cli import notes

            end(terminal, lambda: notes.show_history(terminal, thing, which, limit))

    add_thing(
        "client",
        _("Show a client's history, its contracts' and logins', too."),
        _("id, CPF, CNPJ, whole name, or circuit"),
    )
    add_thing("contract", _("Show a contract's history."), _("id, circuit, or a login of it"))
    add_thing("login", _("Show a login's history."), _("name or id"))

    @group.command("note", help=_("Write a note."))
    def note(
        thing: Annotated[Literal["client", "contract", "login"], typer.Argument(help=_("of what"))],
        which: Annotated[str, typer.Argument(help=_("which one"))],
        text: Annotated[str, typer.Argument(help=_("what it says"))],
    ) -> None:
        from aaad.cli import notes

        end(terminal, lambda: notes.write_note(terminal, thing, which, text))

    @group.command("edit", help=_("Change a note that you wrote."))
    def edit(
        number: Annotated[int, typer.Argument(min=1, max=_NUMBER_MAX, help=_("the entry's number"))],
        text: Annotated[str, typer.Argument(help=_("what it says"))],
    ) -> None:
        from aaad.cli import notes

        end(terminal, lambda: notes.edit_note(terminal, number, text))


def _add_operators(app: typer.Typer, terminal: Terminal, _: Speaker) -> None:
    group = new_group(app, "operator", _("Who works here."))

    def add(**words: str | None) -> None:
        from aaad.cli import people, records

        end(terminal, lambda: records.add(terminal, people.ROOM, words))

    def edit(which: str, **words: str | None) -> None:
        from aaad.cli import people, records

        end(terminal, lambda: records.edit(terminal, people.ROOM, which, words))

    add_command(group, "add", _("Write a new one."), options_of(fields.OPERATOR, _), add)
    add_command(
        group,
        "edit",
        _("Change what is given; an empty value takes away what is there."),
        [argument("which", _("name or id"), "OPERATOR"), *options_of(fields.OPERATOR, _, is_new=False)],
        edit,
    )

    @group.command("list", help=_("List operators."))
    def list_operators(limit: Annotated[int, limit_option(_)] = LIMIT_DEFAULT) -> None:
        from aaad.cli import people

        end(terminal, lambda: people.list_operators(terminal, limit))


def _add_permissions(app: typer.Typer, terminal: Terminal, _: Speaker) -> None:
    group = new_group(app, "permission", _("What groups of operators may do."))

    @group.command("list", help=_("List the permissions, what each does here, and who has them."))
    def list_permissions() -> None:
        from aaad.cli import people

        end(terminal, lambda: people.list_permissions(terminal))

    def giver(name: str, text: str, *, is_granted: bool) -> None:
        @group.command(name, help=text)
        def give(
            which: Annotated[str, typer.Argument(metavar="GROUP", help=_("the group of operators"))],
            permission: Annotated[str, typer.Argument(help=_("the permission's number or name; all: every one"))],
        ) -> None:
            from aaad.cli import people

            end(terminal, lambda: people.give(terminal, which, permission, is_granted=is_granted))

    giver("grant", _("Grant a group of operators a permission; a new group is made."), is_granted=True)
    giver("deny", _("Take a permission away from a group."), is_granted=False)


def _add_legal_holds(app: typer.Typer, terminal: Terminal, _: Speaker) -> None:
    group = new_group(app, "legal-hold", _("Sessions that are kept beyond their time by an order."))

    def add(**words: str | None) -> None:
        from aaad.cli import legal_holds, records

        end(terminal, lambda: records.add(terminal, legal_holds.ROOM, words))

    add_command(
        group,
        "add",
        _("Keep sessions that fit all that is said; with the order alone, all there are."),
        options_of(tables.LEGAL_HOLD, _),
        add,
    )

    @group.command("list", help=_("List those in force."))
    def list_holds(
        with_released: Annotated[bool, typer.Option("--all", help=_("those that were released, too"))] = False,
        limit: Annotated[int, limit_option(_)] = LIMIT_DEFAULT,
    ) -> None:
        from aaad.cli import legal_holds

        end(terminal, lambda: legal_holds.list_holds(terminal, limit, with_released=with_released))

    @group.command("release", help=_("End one. What it alone kept is deleted."))
    def release(
        number: Annotated[int, typer.Argument(min=1, max=_NUMBER_MAX, help=_("its number"))],
        reason: Annotated[str, typer.Option(help=_("by which order"))],
    ) -> None:
        from aaad.cli import legal_holds

        end(terminal, lambda: legal_holds.release(terminal, number, reason))
