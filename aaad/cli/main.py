"""The command `aaad`: finds the command and its exit code: 0 done or yes, 1 no or failed, 2 usage or configuration.

A role's process and the supervisor go to their code directly: what only people need is not loaded for them.
"""

import os
import sys
from collections.abc import Sequence

from aaad.cli.options import EXIT_USAGE, Options, UsageError, take_options


def main() -> None:
    """Run the command that was typed."""
    try:
        sys.exit(run(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)  # as a shell shows an end by Ctrl-C


def run(arguments: Sequence[str]) -> int:
    """Run one command line; return its exit code."""
    try:
        options, rest = take_options(arguments)
        if rest[:1] == ["role"] and "--help" not in rest:
            return _run_role(options, rest[1:])
        if rest == ["run"]:
            return _run_supervisor(options)
    except UsageError as error:
        sys.stderr.write(f"aaad: {error}\n")
        return EXIT_USAGE
    from aaad.cli.app import run_command

    return run_command(options, rest)


def _run_role(options: Options, words: Sequence[str]) -> int:
    name, slot = _role_and_slot(words)
    from aaad.daemon.roles import run_role

    return run_role(name, slot, options.config_path(os.environ))


def _role_and_slot(words: Sequence[str]) -> tuple[str, int]:
    match list(words):
        case [name, "--slot", slot] | ["--slot", slot, name] if slot.isdecimal():
            return name, int(slot)
        case [name] if not name.startswith("-"):
            return name, 0
        case _:
            raise UsageError("role: usage is `aaad role NAME [--slot N]`, N a whole number from 0")


def _run_supervisor(options: Options) -> int:
    from aaad.daemon.supervisor import run_supervisor

    return run_supervisor(options.config_path(os.environ))
