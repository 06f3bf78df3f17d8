"""The command line for people: every command with its options and help, in the language that was chosen.

A command's code is imported when the command runs. Expected errors end in `endings`, in one line that says what is
wrong and what is allowed; our own bugs show their traceback.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.main import get_command_name, get_group
from typer.models import CommandInfo

from aaad.cli.agenda_commands import add_agenda
from aaad.cli.customer_commands import add_customers
from aaad.cli.endings import end as _end
from aaad.cli.line_commands import add_lines
from aaad.cli.network_commands import add_network
from aaad.cli.office_commands import add_office
from aaad.cli.options import EXIT_NEGATIVE, Options
from aaad.cli.order_commands import add_orders
from aaad.cli.pool_commands import add_pools
from aaad.cli.session_commands import add_sessions
from aaad.cli.simulate_options import add_simulate
from aaad.cli.terminal import Terminal
from aaad.cli.whois_commands import add_whois
from aaad.words import Speaker

_LIMIT_DEFAULT, _LIMIT_MAX = 10, 100
_PORT_MAX = 65_535
_INTEGER_MAX = 2**31 - 1  # of PostgreSQL
_DEMO_LOGINS = 1_000
_KNOWN_SECRET = "testing123"  # noqa: S105  of the throw-away node, and of every tutorial


def run_command(options: Options, words: Sequence[str]) -> int:
    """Run a command; return its exit code."""
    terminal = Terminal(options)
    app = build_app(terminal)
    _keep_only(app, words)
    try:
        get_group(app)(args=list(words) or ["--help"], prog_name="aaad")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else EXIT_NEGATIVE
    return 0


def build_app(terminal: Terminal) -> typer.Typer:
    """Return the command line as it is for these surroundings."""
    _ = terminal.speak
    app = typer.Typer(
        help=_("aaad: the network side of an internet provider."),
        epilog=_(
            "For every command: --config FILE, --language auto|pt|en, --json. For those that write: --operator NAME."
        ),
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    _add_processes(app, terminal, _)
    _add_operations(app, terminal, _)
    _add_brake(app, terminal, _)
    add_sessions(app, terminal)
    add_orders(app, terminal)
    add_lines(app, terminal)
    add_network(app, terminal)
    add_customers(app, terminal)
    add_office(app, terminal)
    add_agenda(app, terminal)
    add_pools(app, terminal)
    _add_questions(app, terminal, _)
    add_whois(app, terminal)
    add_simulate(app, terminal, _, _end)
    _name_commands(app, terminal)
    return app


def _keep_only(app: typer.Typer, words: Sequence[str]) -> None:
    """Leave out what these words do not name: to make all commands takes longer than most of them."""
    for word in words[:1]:
        commands = [command for command in app.registered_commands if _name_of_command(command) == word]
        groups = [group for group in app.registered_groups if group.name == word]
        if commands or groups:  # else it is an option, or wrong, and every command may be told
            app.registered_commands, app.registered_groups = commands, groups
        for group in groups:
            if group.typer_instance is not None:
                _keep_only(group.typer_instance, words[1:])


def _name_of_command(command: CommandInfo) -> str:
    return command.name or (get_command_name(command.callback.__name__) if command.callback else "")


def _name_commands(app: typer.Typer, terminal: Terminal, *above: str) -> None:
    """Let the terminal know which command runs: permissions are by its words."""
    for command in app.registered_commands:
        if command.callback is not None:
            words = " ".join((*above, _name_of_command(command)))
            command.callback = _naming(command.callback, terminal, words)
    for group in app.registered_groups:
        if group.typer_instance is not None:
            _name_commands(group.typer_instance, terminal, *above, str(group.name))


def _naming(act: Callable[..., Any], terminal: Terminal, words: str) -> Callable[..., Any]:
    @wraps(act)
    def named(*arguments: Any, **options: Any) -> Any:
        terminal.command = words
        return act(*arguments, **options)

    return named


def _text_of(terminal: Terminal) -> Callable[[str], str]:
    """Return a check of an argument: octets that are not UTF-8 cannot be looked for in PostgreSQL nor sent."""

    _ = terminal.speak

    def check(value: str) -> str:
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise typer.BadParameter(_("it must be text in UTF-8"))
        return value

    return check


def _name_of(terminal: Terminal) -> Callable[[str], str]:
    """Return a check of an argument that is a name."""
    _, is_text = terminal.speak, _text_of(terminal)

    def check(value: str) -> str:
        if not value.strip():
            raise typer.BadParameter(_("it must not be empty"))
        return is_text(value)

    return check


def _add_processes(app: typer.Typer, terminal: Terminal, _: Speaker) -> None:
    @app.command(help=_("Run this node: the supervisor and its roles, until told to stop."))
    def run() -> None:
        from aaad.daemon.supervisor import run_supervisor

        raise typer.Exit(run_supervisor(terminal.options.config_path(terminal.environ)))

    @app.command(help=_("Run one role's process; the supervisor does this."))
    def role(
        name: Annotated[str, typer.Argument(help=_("radius, sync or control"))],
        slot: Annotated[int, typer.Option(min=0, help=_("number among the processes of this role"))] = 0,
    ) -> None:
        from aaad.daemon.roles import run_role

        raise typer.Exit(run_role(name, slot, terminal.options.config_path(terminal.environ)))

    @app.command(help=_("Run a throw-away node below a folder, with a PostgreSQL and logins of its own."))
    def demo(
        directory: Annotated[Path, typer.Option("--dir", help=_("folder of everything; made if it is not there"))],
        auth_port: Annotated[int, typer.Option(min=0, max=_PORT_MAX, help=_("0: any free one"))] = 1812,
        acct_port: Annotated[int, typer.Option(min=0, max=_PORT_MAX, help=_("0: any free one"))] = 1813,
        metrics_port: Annotated[int, typer.Option(min=0, max=_PORT_MAX, help=_("0: any free one"))] = 9812,
        logins: Annotated[
            int, typer.Option(min=0, help=_("how many logins user000000, user000001, …"))
        ] = _DEMO_LOGINS,
    ) -> None:
        from aaad.daemon.demo import run_demo

        raise typer.Exit(run_demo(directory, auth_port, acct_port, metrics_port, logins))


def _add_operations(app: typer.Typer, terminal: Terminal, _: Speaker) -> None:
    @app.command(help=_("Read the configuration and say what is wrong with it first."))
    def check() -> None:
        from aaad.cli import operate

        _end(terminal, lambda: operate.check(terminal))

    @app.command(help=_("Bring the database up to this version's schema."))
    def migrate(
        dry: Annotated[bool, typer.Option("--dry-run", help=_("only say what is missing"))] = False,
    ) -> None:
        from aaad.cli import operate

        _end(terminal, lambda: operate.migrate(terminal, is_dry=dry))


def _add_brake(app: typer.Typer, terminal: Terminal, _: Speaker) -> None:
    replica = typer.Typer(help=_("The copy of the logins, and the brake that protects it."), no_args_is_help=True)
    app.add_typer(replica, name="replica")

    @replica.command("status", help=_("Show what the brake holds back. Exit code 1 if something is held."))
    def replica_status() -> None:
        from aaad.cli import operate

        _end(terminal, lambda: operate.replica_status(terminal))

    @replica.command("accept", help=_("Let through what the brake holds back, on all nodes."))
    def replica_accept(
        hold: Annotated[int | None, typer.Argument(min=1, max=_INTEGER_MAX, help=_("the hold's number"))] = None,
        count: Annotated[
            int | None, typer.Option(min=0, max=_INTEGER_MAX, help=_("accept no more than so many"))
        ] = None,
    ) -> None:
        from aaad.cli import operate

        _end(terminal, lambda: operate.replica_accept(terminal, hold, count))


def _add_questions(app: typer.Typer, terminal: Terminal, _: Speaker) -> None:
    name_checked, text_checked = _name_of(terminal), _text_of(terminal)

    @app.command(help=_("Show this node, the others, and what wants attention. Exit code 1 if it does not serve."))
    def status() -> None:
        from aaad.cli.status import status as show

        _end(terminal, lambda: show(terminal))

    @app.command(help=_("Tell why a login connects or not. Exit code 1 if it would not be let in now."))
    def why(
        login: Annotated[str, typer.Argument(help=_("the login's name"), callback=name_checked)],
        limit: Annotated[
            int, typer.Option(min=1, max=_LIMIT_MAX, help=_("how many of the last decisions"))
        ] = _LIMIT_DEFAULT,
    ) -> None:
        from aaad.cli.why import why as tell

        _end(terminal, lambda: tell(terminal, login, limit))

    @app.command(
        "simulate-login",
        help=_(
            "Show what a login would be answered now, without a concentrator. Exit code 1 if it would be refused."
        ),
    )
    def simulate_login(
        login: Annotated[str, typer.Argument(help=_("the login's name"), callback=name_checked)],
        nas: Annotated[str, typer.Option(help=_("at this concentrator"), callback=text_checked)] = "",
        kind: Annotated[str, typer.Option(help=_("kind of concentrator, where none is named"))] = "mikrotik",
        mac: Annotated[str, typer.Option(help=_("from this device"))] = "",
        port: Annotated[str, typer.Option(help=_("on this port (NAS-Port-Id)"), callback=text_checked)] = "",
        circuit: Annotated[str, typer.Option(help=_("on this circuit"), callback=text_checked)] = "",
        is_hotspot: Annotated[bool, typer.Option("--hotspot", help=_("as Hotspot or DHCP, not PPP"))] = False,
    ) -> None:
        from aaad.cli import simulate_login as room

        def act() -> None:
            asked = room.asked_of(nas, kind, mac, port, circuit, is_ppp=not is_hotspot)
            room.simulate_login(terminal, login, asked)

        _end(terminal, act)

    @app.command(help=_("Send a real Access-Request (PAP) and verify the answer. Exit code 1 unless accepted."))
    def radtest(
        login: Annotated[str, typer.Argument(help=_("the login's name"), callback=name_checked)],
        password: Annotated[str, typer.Argument(help=_("its password"), callback=text_checked)],
        server: Annotated[str, typer.Option(help=_("address; default: this node's"))] = "",
        port: Annotated[int, typer.Option(min=0, max=_PORT_MAX, help=_("UDP port; default: this node's"))] = 0,
        secret: Annotated[str, typer.Option(envvar="AAAD_RADTEST_SECRET", help=_("shared secret"))] = _KNOWN_SECRET,
        is_unsigned: Annotated[
            bool, typer.Option("--no-message-authenticator", help=_("send the request without Message-Authenticator"))
        ] = False,
    ) -> None:
        from aaad.cli import radtest as room

        def act() -> None:
            target = room.make_target(terminal.maybe_config, server, port, secret, is_signed=not is_unsigned)
            room.radtest(terminal, login, password, target)

        _end(terminal, act)
