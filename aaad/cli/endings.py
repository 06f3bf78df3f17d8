"""How a command ends: expected errors become one line each and an exit code."""

from collections.abc import Callable

import typer

from aaad.cli.options import EXIT_NEGATIVE, EXIT_USAGE
from aaad.cli.terminal import NegativeAnswerError, Terminal, WrongInputError
from aaad.errors import AaadError, ConfigError, MistypedError, StoreError

_AWAY = "PostgreSQL is away: "


def end(terminal: Terminal, act: Callable[[], None]) -> None:
    """Run a command's code and turn what it came to into an exit code."""
    _ = terminal.speak
    try:
        act()
    except NegativeAnswerError:
        raise typer.Exit(EXIT_NEGATIVE) from None
    except WrongInputError:
        raise typer.Exit(EXIT_USAGE) from None
    except ConfigError as error:
        terminal.complain(f"{terminal.options.config_path(terminal.environ)}: {terminal.problem(error)}")
        raise typer.Exit(EXIT_USAGE) from None
    except MistypedError as error:
        terminal.complain(_(error.english, **error.values))
        raise typer.Exit(EXIT_USAGE) from None
    except StoreError as error:
        away, _is_away, problem = str(error).partition(_AWAY)
        terminal.complain(_("PostgreSQL is away: {problem}", problem=problem) if not away and problem else str(error))
        raise typer.Exit(EXIT_NEGATIVE) from None
    except AaadError as error:
        terminal.complain(str(error))
        raise typer.Exit(EXIT_NEGATIVE) from None
