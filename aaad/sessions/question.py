"""The legal question: who had an address, and a port, at a time; read from words or from a table of many (rule R9.2).

Pure. Nothing is guessed: an instant has its zone, an address its form, and a column its name. All that is wrong in a
table is told at once, by its lines.
"""

import csv
import io
import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple

from aaad.errors import AaadError, MistypedError
from aaad.sessions.cgnat import PORT_MAX
from aaad.sessions.instants import Span, read_instant, read_margin

REQUESTS_MAX = 10_000
IPV6_PREFIX_MIN = 32  # a shorter one would ask for a whole provider
_SPACE_MAX = 2**31 - 1

# The names of columns, as spreadsheets have them, folded.
_COLUMNS = {
    "address": ("address", "ip", "endereco", "endereco ip", "ip address", "public ip"),
    "port": ("port", "porta", "porta logica", "source port", "porta de origem"),
    "at": ("at", "em", "instante", "data hora", "data e hora", "data/hora", "datetime", "timestamp"),
    "day": ("day", "date", "data", "dia"),
    "time": ("time", "hora", "horario"),
    "first": ("from", "de", "inicio"),
    "last": ("to", "ate", "fim"),
    "zone": ("zone", "time zone", "timezone", "fuso", "fuso horario"),
    "margin": ("margin", "margem", "tolerancia"),
    "space": ("space", "address space", "espaco"),
    "reference": ("reference", "id", "referencia", "item"),
}
_COLUMN_OF = {name: column for column, names in _COLUMNS.items() for name in names}


def _(english: str) -> str:
    """Mark a text for translation."""
    return english


class Target(NamedTuple):
    """What is asked about: an address or an IPv6 prefix, and perhaps a port."""

    address: IPv4Address | IPv6Network
    port: int | None

    def __str__(self) -> str:
        """Return it as people write it."""
        if isinstance(self.address, IPv4Address):
            return f"{self.address}:{self.port}" if self.port else str(self.address)
        single = self.address.prefixlen == self.address.max_prefixlen
        shown = str(self.address.network_address if single else self.address)
        return f"[{shown}]:{self.port}" if self.port else shown


class Question(NamedTuple):
    """Who had it at this time."""

    target: Target
    asked: Span
    margin: timedelta = timedelta(0)
    space: int | None = None  # None: all of them
    reference: str = ""  # how the order numbers it
    said: str = ""  # the time as it was written
    line: int = 0  # of the table; 0: it stands in none

    @property
    def searched(self) -> Span:
        """The time asked for with its margin."""
        return self.asked.widened(self.margin)


class Words(NamedTuple):
    """A question as it was typed; what is empty was not."""

    address: str
    port: str = ""
    at: str = ""
    first: str = ""
    last: str = ""
    zone: str = ""
    margin: str = ""
    space: str = ""
    reference: str = ""


class WrongLinesError(AaadError):
    """Lines of a table that cannot be read, each with its number and what is wrong with it."""

    def __init__(self, problems: list[tuple[int, MistypedError]]) -> None:
        super().__init__("; ".join(f"{line}: {problem}" for line, problem in problems))
        self.problems = problems


def read_question(words: Words, now: datetime) -> Question:
    """Return the question that words ask; MistypedError if they ask none."""
    target = read_target(words.address, words.port)
    if bool(words.at) == bool(words.first or words.last) or bool(words.first) != bool(words.last):
        raise MistypedError(_("say either an instant, or from when and to when"))
    if words.at:
        asked = read_instant(words.at, words.zone, now)
        said = words.at
    else:
        asked = Span(read_instant(words.first, words.zone, now).first, read_instant(words.last, words.zone, now).last)
        said = f"{words.first} … {words.last}"
    if asked.last < asked.first:
        raise MistypedError(_("{word}: it ends before it begins"), word=said)
    if asked.first > now:
        raise MistypedError(_("{word}: that is in the future"), word=said)
    margin = read_margin(words.margin) if words.margin else timedelta(0)
    if words.zone and words.zone not in said:
        said = f"{said} ({words.zone})"
    return Question(target, asked, margin, _number(words.space, _SPACE_MAX), words.reference, said)


def read_target(word: str, port_word: str = "") -> Target:
    """Return the address or prefix, and the port, that stand in a word; the port of IPv6 stands behind brackets."""
    text, port = word.strip(), port_word.strip()
    if text.startswith("["):
        text, bracket, behind = text[1:].partition("]")
        if not bracket or (behind and not behind.startswith(":")) or (behind and port):
            raise _no_address(word)
        port = behind[1:] if behind else port
        if behind and not port:
            raise _no_address(word)
    elif text.count(":") == 1:
        if port:
            raise _no_address(word)
        text, _colon, port = text.partition(":")
        if not port:
            raise _no_address(word)
    return Target(_address(text, word), _number(port, PORT_MAX, _("{word}: a port is a number from 1 to 65535")))


def read_requests(content: bytes, common: Words, now: datetime, *, ignores_columns: bool = False) -> list[Question]:
    """Return the questions of a table; what a line does not say, `common` says. WrongLinesError tells all problems.

    The first line names the columns; one that nobody knows might be the zone or the port, so it is refused. Comma,
    semicolon and tab separate them, whatever the spreadsheet wrote.
    """
    questions: list[Question] = []
    problems: list[tuple[int, MistypedError]] = []
    table = read_table(content, _COLUMN_OF, ("address",))
    if table.unknown and not ignores_columns:
        raise MistypedError(
            _(
                "columns that nobody knows: {columns}. Name them as is known, or say --ignore-columns. "
                "Known are: {known}"
            ),
            columns=", ".join(map(repr, table.unknown)),
            known=", ".join(_COLUMN_OF),
        )
    for line, row in table.rows:
        if len(questions) + len(problems) >= REQUESTS_MAX:
            problems.append((line, MistypedError(_("more than {count} lines: split the table"), count=REQUESTS_MAX)))
            break
        try:
            questions.append(read_question(_words_of(row, common), now)._replace(line=line))
        except MistypedError as problem:
            problems.append((line, problem))
    if problems:
        raise WrongLinesError(problems)
    if not questions:
        raise MistypedError(_("the table has no lines"))
    return questions


class Table(NamedTuple):
    """A CSV file: its rows by column, each with its line number, and the titles that nobody knows."""

    rows: list[tuple[int, dict[str, str]]]
    unknown: list[str]


def read_table(content: bytes, names: Mapping[str, str], required: tuple[str, ...]) -> Table:
    """Return what stands in a CSV file; MistypedError or WrongLinesError if it is no such table."""
    text = _text_of(content)
    head = text.split("\n", 1)[0]
    separator = max(",;\t", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        typed = next(reader, [])
        titles = [names.get(_folded(title), "") for title in typed]
        for column in required:
            if column not in titles:
                raise MistypedError(
                    _("the first line must name the columns; {column} is missing. Known are: {known}"),
                    column=column,
                    known=", ".join(names),
                )
        for title in titles:
            if title and titles.count(title) > 1:
                raise MistypedError(_("the column {column} is there twice"), column=title)
        rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise MistypedError(_("this is no CSV file: {problem}"), problem=error) from None
    spare = [
        (line, MistypedError(_("there are more cells than columns")))
        for line, row in rows
        if any(cell.strip() for cell in row[len(typed) :])
    ]
    if spare:
        raise WrongLinesError(spare)
    return Table(
        [(line, dict(zip(titles, (cell.strip() for cell in row), strict=False))) for line, row in rows],
        [title.strip() for title, known in zip(typed, titles, strict=True) if title.strip() and not known],
    )


_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_SEPARATOR_LINE = re.compile(r"sep=.\r?\n", re.IGNORECASE)


def _text_of(content: bytes) -> str:
    """Return a file's text in the encodings that spreadsheets write."""
    try:
        text = content.decode("utf-16" if content.startswith(_UTF_16) else "utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", "replace")  # what spreadsheets of Windows write
    if "\0" in text:
        raise MistypedError(_("this is no CSV file"))
    return _SEPARATOR_LINE.sub("", text, count=1) if _SEPARATOR_LINE.match(text) else text


def _words_of(row: Mapping[str, str], common: Words) -> Words:
    say: Callable[[str, str], str] = lambda column, otherwise: row.get(column) or otherwise  # noqa: E731
    at = row.get("at") or f"{row.get('day', '')} {row.get('time', '')}".strip()
    first, last = row.get("first", ""), row.get("last", "")
    if not (at or first or last):
        at, first, last = common.at, common.first, common.last
    return Words(
        address=row.get("address", ""),
        port=row.get("port", ""),
        at=at,
        first=first,
        last=last,
        zone=say("zone", common.zone),
        margin=say("margin", common.margin),
        space=say("space", common.space),
        reference=row.get("reference", ""),
    )


def _address(text: str, word: str) -> IPv4Address | IPv6Network:
    try:
        if "/" not in text:
            address = ip_address(text)
            if isinstance(address, IPv6Address):
                if address.scope_id is None:
                    return address.ipv4_mapped or IPv6Network(address)
            else:
                return address
        elif ":" in text:
            prefix = IPv6Network(text, strict=False)
            mapped = prefix.network_address.ipv4_mapped
            if mapped is None and prefix.prefixlen >= IPV6_PREFIX_MIN:
                return prefix
            if mapped is not None and prefix.prefixlen == prefix.max_prefixlen:
                return mapped
        elif text.endswith("/32"):
            return IPv4Address(text.removesuffix("/32"))
    except ValueError:
        pass
    raise _no_address(word)


def _number(word: str, most: int, english: str = _("{word}: an address space is a number from 1")) -> int | None:
    plain = word.strip()
    if not plain:
        return None
    if plain.isascii() and plain.isdecimal() and len(plain) <= len(str(most)) and 1 <= int(plain) <= most:
        return int(plain)
    raise MistypedError(english, word=repr(word))


def _no_address(word: str) -> MistypedError:
    return MistypedError(
        _(
            "{word}: write one IPv4 address, an IPv6 address or prefix (/{least} to /128), and a port as "
            "203.0.113.9:40123 or [2001:db8::1]:40123"
        ),
        word=repr(word),
        least=IPV6_PREFIX_MIN,
    )


def _folded(title: str) -> str:
    plain = "".join(c for c in unicodedata.normalize("NFD", title) if not unicodedata.combining(c))
    return " ".join(plain.replace("_", " ").split()).lower()
