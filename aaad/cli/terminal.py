"""What a command has in its hands: the options, the configuration, the language, and where to write.

Answers go to standard output, complaints to standard error. With --json the answer is one JSON document and nothing
else. No secret passes through here: the configuration's are never written. Whatever is written is made printable
here: names, NAS-Identifiers and stations come from outside and could steer the terminal that shows them.
"""

import getpass
import os
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import NoReturn

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from aaad.cli.options import Options
from aaad.config import Config, load_config
from aaad.errors import AaadError, ConfigError
from aaad.words import Language, Speaker, choose_language, printable

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86_400
_SUSPICIOUS = re.compile(r"[^\x20-\x7e\n]")
_PLAIN_WIDTH = 160  # of output that goes into a file or a pipe


def _(english: str) -> str:
    """Mark a text for translation."""
    return english


# Why the operating system did not give a file, in its words; its others show as they are.
SYSTEM_REASONS = (_("No such file or directory"), _("Permission denied"), _("Is a directory"), _("Not a directory"))


class NegativeAnswerError(AaadError):
    """The command did its work and the answer is no. Nothing more is written."""


class WrongInputError(AaadError):
    """What was typed cannot be, and every complaint is written. Nothing more is written."""


class Terminal:
    """The surroundings of one command."""

    def __init__(self, options: Options, environ: Mapping[str, str] | None = None) -> None:
        """Look at nothing yet: the configuration is read when a command asks."""
        self.options = options
        self.environ = os.environ if environ is None else environ
        self.command = ""  # the words of the one that runs, such as "contract block"

    @cached_property
    def config(self) -> Config:
        """The configuration; ConfigError if it is wrong or not there."""
        return load_config(self.options.config_path(self.environ), self.environ)

    @cached_property
    def local_config(self) -> Config:
        """The configuration for who can do without PostgreSQL: its DSN may be out of reach, and is empty then."""
        return load_config(self.options.config_path(self.environ), self.environ, needs_database=False)

    @property
    def maybe_config(self) -> Config | None:
        """The configuration, or None if nobody named one and there is none in the usual place."""
        is_there = self.options.config_path(self.environ).exists()
        return self.local_config if is_there or self.options.has_own_config(self.environ) else None

    @cached_property
    def speak(self) -> Speaker:
        """The language, by option, configuration or locale."""
        try:
            config = self.maybe_config
        except ConfigError:
            config = None  # it will be told by whoever needs it
        return Speaker(
            choose_language(self.options.language, config.cli.language if config else "auto", self.environ)
        )

    @property
    def language(self) -> Language:
        """The language of the texts."""
        return self.speak.language

    @cached_property
    def _console(self) -> Console:
        width = None if sys.stdout.isatty() else _PLAIN_WIDTH
        return Console(highlight=False, width=width, soft_wrap=False)

    def json(self, value: object) -> None:
        """Write one JSON document; what is not printable in its strings is escaped."""
        try:
            octets = msgspec.json.encode(value, enc_hook=str)
        except UnicodeEncodeError:  # a router's names may be of any encoding
            octets = msgspec.json.encode(_in_unicode(value), enc_hook=str)
        encoded = msgspec.json.format(octets, indent=2).decode()
        sys.stdout.write(_SUSPICIOUS.sub(_escaped, encoded) + "\n")

    def line(self, text: str = "", style: str = "") -> None:
        """Write a line of text; nothing in it is taken for markup."""
        self._console.print(escape(printable(text)), style=style or None)

    def verbatim(self, text: str) -> None:
        """Write a line that somebody will copy: it is broken nowhere."""
        self._console.print(escape(printable(text)), soft_wrap=True)

    def table(self, *columns: str) -> "Lines":
        """Return an empty table with these column titles."""
        return Lines(self._console, columns)

    def complain(self, text: str) -> None:
        """Write to standard error."""
        shown = "\n".join(printable(line) for line in text.split("\n"))
        sys.stderr.write(f"aaad: {shown}\n")

    def refuse(self) -> NoReturn:
        """End with exit code 1."""
        raise NegativeAnswerError

    @property
    def operator(self) -> str:
        """Who is at the keyboard, for the history."""
        return self.options.operator or getpass.getuser()

    @property
    def is_interactive(self) -> bool:
        """Whether a person can be asked."""
        return sys.stdin.isatty() and sys.stderr.isatty()

    def confirm(self, question: str) -> bool:
        """Ask a person; only a plain yes is a yes."""
        _ = self.speak
        choice = _("[y/N]")
        sys.stderr.write(f"{printable(question)} {choice} ")
        sys.stderr.flush()
        return sys.stdin.readline().strip().lower() in ("y", "yes", "s", "sim")

    def read_secret(self, prompt: str) -> str:
        """Return a new secret: typed unseen by a person, twice alike, or one line of standard input."""
        if not self.is_interactive:
            return sys.stdin.readline().rstrip("\r\n")
        _ = self.speak
        secret = getpass.getpass(f"{prompt}: ")
        if getpass.getpass(_("Once more: ")) != secret:
            self.complain(_("The two are not the same. Nothing was changed."))
            raise WrongInputError
        return secret

    def age(self, seconds: float | None) -> str:
        """Return a duration as people say it."""
        _ = self.speak
        if seconds is None:
            return _("never")
        for unit_s, unit in ((_DAY_S, _("{n} d")), (_HOUR_S, _("{n} h")), (_MINUTE_S, _("{n} min"))):
            if seconds >= 2 * unit_s:
                return unit.format(n=int(seconds // unit_s))
        return _("{n} s").format(n=f"{max(0.0, seconds):.1f}")

    def clock(self, at_s: float) -> str:
        """Return an instant in this machine's zone."""
        moment = datetime.fromtimestamp(at_s, UTC).astimezone()
        pattern = "%d/%m/%Y %H:%M:%S" if self.language is Language.PORTUGUESE else "%Y-%m-%d %H:%M:%S"
        return moment.strftime(pattern) + f".{moment.microsecond // 1000:03d}"

    def problem(self, error: AaadError) -> str:
        """Return what an error says; the configuration's in the language."""
        if not isinstance(error, ConfigError):
            return str(error)
        _ = self.speak
        return _(
            "{key}: {value} is not valid. Allowed: {allowed}",
            key=error.key,
            value=repr(error.value),
            allowed=self.allowed(error),
        )

    def allowed(self, error: ConfigError) -> str:
        """Return what is allowed instead of what the configuration has, units and reasons included."""
        _ = self.speak
        fields = {name: _(str(value)) if name in ("unit", "why") else value for name, value in error.fields.items()}
        return _(error.english, **fields)

    def instant(self, at: datetime | str | None) -> str:
        """Return an instant of PostgreSQL's, or of its JSON's, in this machine's zone; empty for none."""
        if at is None:
            return ""
        return self.clock((datetime.fromisoformat(at) if isinstance(at, str) else at).timestamp())[:-4]


class Lines:
    """A table being filled."""

    def __init__(self, console: Console, columns: tuple[str, ...]) -> None:
        """Begin with titles only."""
        self._console = console
        self._table = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            self._table.add_column(escape(column), overflow="fold")

    def add(self, *cells: object, style: str = "") -> None:
        """Add a row; nothing in it is taken for markup."""
        self._table.add_row(*(escape(printable(str(cell))) for cell in cells), style=style or None)

    def print(self) -> None:
        """Write the table."""
        self._console.print(self._table)


def _in_unicode(value: object) -> object:
    """Return a document in which octets that are no UTF-8 are escaped."""
    match value:
        case str():
            return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        case dict():
            return {_in_unicode(key): _in_unicode(each) for key, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_in_unicode(each) for each in value]
        case _:
            return value


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    if character.isprintable():
        return character
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[at] << 8 | units[at + 1]:04x}" for at in range(0, len(units), 2))
