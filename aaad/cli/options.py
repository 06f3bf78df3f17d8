"""What every command has: --config, --language, --json, --operator, wherever they stand on the line, and exit codes.

Imports nothing heavy: a role's process starts through here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

EXIT_NEGATIVE, EXIT_USAGE = 1, 2  # no, or it failed; the command line or the configuration is wrong
LANGUAGES = ("auto", "pt", "en")
PATH_VARIABLE = "AAAD_CONFIG"
DEFAULT_PATH = Path("/etc/aaad/aaad.toml")
_WITH_VALUE = ("--config", "--language", "--operator")


class UsageError(Exception):
    """The command line is wrong; the text says how."""


@dataclass(frozen=True, slots=True)
class Options:
    """What stands on the command line besides the command itself."""

    config: Path | None = None
    language: str | None = None
    is_json: bool = False
    operator: str | None = None  # who writes; else the account of the operating system

    def config_path(self, environ: Mapping[str, str]) -> Path:
        """Return where the configuration is: by option, by AAAD_CONFIG, or in its usual place."""
        return self.config or Path(environ.get(PATH_VARIABLE) or DEFAULT_PATH)

    def has_own_config(self, environ: Mapping[str, str]) -> bool:
        """Whether somebody named a configuration, so that its absence is an error."""
        return self.config is not None or bool(environ.get(PATH_VARIABLE))


def take_options(arguments: Sequence[str]) -> tuple[Options, list[str]]:
    """Take the common options out of a command line, up to a `--`; UsageError if one has no value."""
    values: dict[str, str] = {}
    rest: list[str] = []
    is_json = False
    pending = list(arguments)
    while pending:
        word = pending.pop(0)
        name, equals, value = word.partition("=")
        if word == "--":
            rest += [word, *pending]
            break
        if word == "--json":
            is_json = True
        elif name not in _WITH_VALUE:
            rest.append(word)
        elif equals:
            values[name] = value
        elif pending:
            values[name] = pending.pop(0)
        else:
            raise UsageError(f"{name}: a value must follow")
    language = values.get("--language")
    if language is not None and language not in LANGUAGES:
        raise UsageError(f"--language: {language!r} is not valid: one of {', '.join(LANGUAGES)}")
    config = Path(values["--config"]).absolute() if "--config" in values else None
    return Options(config, language, is_json, values.get("--operator")), rest
