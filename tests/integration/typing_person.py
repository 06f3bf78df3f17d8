"""Commands as they are typed, in the test's own process."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from click.testing import CliRunner, Result
from typer.main import get_command

from aaad.cli.app import build_app
from aaad.cli.options import Options
from aaad.cli.terminal import Terminal


def type_line(options: Options, words: Sequence[str], answers: str | None = None) -> Result:
    """Run one command line; raise what was not expected to end it."""
    terminal, command = command_line(options.language)
    vars(terminal).clear()  # each command is a process of its own: it finds nothing of the one before
    terminal.__init__(options)  # type: ignore[misc]
    result = CliRunner().invoke(command, list(words), input=answers)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@cache
def command_line(language: str | None) -> tuple[Terminal, Any]:
    """The whole command line, made once for each language: that takes longer than a command."""
    assert language in ("pt", "en"), "the texts are made with it"
    terminal = Terminal(Options(language=language))
    return terminal, get_command(build_app(terminal))
