"""Commands made of tables: groups, the four commands that every kind of record has, and options out of fields.

Only registers: what a command does is imported when it runs.
"""

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from aaad.cli.endings import end
from aaad.cli.terminal import Terminal
from aaad.erp.fields import Field, Table
from aaad.words import Speaker

LIMIT_DEFAULT, _LIMIT_MAX = 100, 1_000_000


def new_group(app: typer.Typer, name: str, text: str) -> typer.Typer:
    """Add a group of commands."""
    group = typer.Typer(help=text, no_args_is_help=True, rich_markup_mode=None)
    app.add_typer(group, name=name)
    return group


def group_of(app: typer.Typer, name: str) -> typer.Typer:
    """Return a group that was added."""
    return next(info.typer_instance for info in app.registered_groups if info.name == name and info.typer_instance)


def add_common(group: typer.Typer, terminal: Terminal, table: Table, module: str, meaning: str) -> None:
    """Add `add`, `show`, `edit` and `delete`."""
    _ = terminal.speak

    def add(**words: str | None) -> None:
        from aaad.cli import records

        end(terminal, lambda: records.add(terminal, _room(module), words))

    add_command(group, "add", _("Write a new one."), options_of(table, _), add)
    add_shared(group, terminal, table, module, meaning)


def add_shared(group: typer.Typer, terminal: Terminal, table: Table, module: str, meaning: str) -> None:
    """Add `show`, `edit` and `delete`."""
    _ = terminal.speak
    which = argument("which", meaning, table.name.upper())

    def show(which: str) -> None:
        from aaad.cli import records

        end(terminal, lambda: records.show(terminal, _room(module), which))

    def edit(which: str, **words: str | None) -> None:
        from aaad.cli import records

        end(terminal, lambda: records.edit(terminal, _room(module), which, words))

    def delete(which: str, is_sure: bool) -> None:
        from aaad.cli import records

        end(terminal, lambda: records.delete(terminal, _room(module), which, is_sure=is_sure))

    add_command(group, "show", _("Show everything about one."), [which], show)
    add_command(
        group,
        "edit",
        _("Change what is given; an empty value takes away what is there."),
        [which, *options_of(table, _, is_new=False)],
        edit,
    )
    add_command(
        group,
        "delete",
        _("Delete one, unless something is linked to it."),
        [which, sure(_)],
        delete,
    )


def _room(module: str) -> Any:
    from importlib import import_module

    name, _, room = module.partition(":")
    return getattr(import_module(f"aaad.cli.{name}"), room or "ROOM")


# --- options made of fields -----------------------------------------------------------------------------------------


def add_command(
    group: typer.Typer, name: str, text: str, parameters: list[inspect.Parameter], act: Callable[..., None]
) -> None:
    """Add a command whose parameters are data."""

    def command(**words: Any) -> None:
        act(**words)

    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    group.command(name, help=text)(command)


def options_of(table: Table, _: Speaker, *, is_new: bool = True) -> list[inspect.Parameter]:
    """Return an option for each field; a secret is no option, since others can read those."""
    return [_field_option(field, _, is_new=is_new) for field in table.fields if not field.is_secret]


def _field_option(field: Field, _: Speaker, *, is_new: bool) -> inspect.Parameter:
    star = "* " if field.is_required and is_new else ""
    return word(field.column, f"{star}{_(field.label)}: {_(field.allowed)}", field.option)


def word(name: str, text: str, option: str = "") -> inspect.Parameter:
    """Return an option with a value, taken as it is typed."""
    declared = typer.Option(option or "--" + name.replace("_", "-"), help=text, metavar="…")
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[str | None, declared]
    )


def argument(name: str, text: str, metavar: str | None = None) -> inspect.Parameter:
    """Return an argument."""
    declared = typer.Argument(help=text, show_default=False, metavar=metavar)
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[str, declared])


def sure(_: Speaker) -> inspect.Parameter:
    """Return the option by which a script says yes."""
    return flag("is_sure", "--yes", _("do not ask"))


def generate(_: Speaker) -> inspect.Parameter:
    """Return the option by which a password is made."""
    return flag("is_generated", "--generate", _("make a password and show it once"))


def flag(name: str, option: str, text: str) -> inspect.Parameter:
    """Return an option without a value."""
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=False,
        annotation=Annotated[bool, typer.Option(option, help=text)],
    )


def limit_option(_: Speaker) -> Any:
    """Return the option of lists that bounds them."""
    return typer.Option(min=1, max=_LIMIT_MAX, help=_("how many at most"))
