"""Instants as courts, police and spreadsheets write them, read without guessing (rule R9.2).

Pure. An instant without a time zone is refused. What is written to the second means that whole second, what is
written to the minute the whole minute: so it becomes a span, both ends included. "GMT-3" and "UTC-3" mean three hours
behind UTC, as everybody writes it, not POSIX's contrary; the time of Brasília is America/Sao_Paulo, with the summer
time of its day. A local time that a change of the clock skipped or repeated is refused, with what may be meant.
"""

import re
import unicodedata
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import NamedTuple
from zoneinfo import ZoneInfo

from aaad.errors import MistypedError

TICK = timedelta(microseconds=1)
MARGIN_MAX = timedelta(days=7)
_YEARS = range(1990, 2200)

_INSTANT = re.compile(
    r"(?:(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})"
    r"|(?P<day_first>\d{1,2})(?P<between>[/.-])(?P<month_second>\d{1,2})(?P=between)(?P<year_last>\d{4}))"
    r"(?:t|[\s,]+(?:as\s+|at\s+)?)"
    r"(?P<hour>\d{1,2})[:h](?P<minute>\d{2})"
    r"(?:(?::|min|m)(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?s?|(?:min|m)(?![a-z]))?"
    r"\s*(?P<zone>.*)",
    re.DOTALL | re.IGNORECASE,
)
_OFFSET = re.compile(r"(?:utc|gmt|z)?\s*([+-])\s*(\d{1,2})(?::?(\d{2}))?")
_PLACE = re.compile(r"(?:(?:horario|hora)\b)?(?:\s*(?:oficial|legal|local)\b)?(?:\s*d[eoa]\b)?\s*(.+)")
_BRACKETS = re.compile(r"[()\[\]]+")
_PLACES = {
    "brasilia": "America/Sao_Paulo",
    "sao paulo": "America/Sao_Paulo",
    "manaus": "America/Manaus",
    "amazonas": "America/Manaus",
    "cuiaba": "America/Cuiaba",
    "acre": "America/Rio_Branco",
    "rio branco": "America/Rio_Branco",
    "noronha": "America/Noronha",
    "fernando de noronha": "America/Noronha",
}
_HOURS_AHEAD = {"z": 0, "utc": 0, "gmt": 0, "brt": -3, "brst": -2}
_OFFSET_HOURS_MAX = 14
_MARGIN = re.compile(r"(\d{1,6})\s*(s|seg|segundos|seconds|m|min|minutos|minutes|h|hora|horas|hours)")
_NOW = ("now", "agora")
_MICROSECOND_DIGITS = 6


def _(english: str) -> str:
    """Mark a text for translation."""
    return english


class Span(NamedTuple):
    """A time from its first microsecond to its last one, both included, in UTC."""

    first: datetime
    last: datetime

    def meets(self, first: datetime, last: datetime | None) -> bool:
        """Return whether something from `first` to `last` (None: until further notice) falls into it."""
        return first <= self.last and (last is None or last >= self.first)

    def widened(self, margin: timedelta) -> "Span":
        """Return it with a margin on both sides."""
        return Span(self.first - margin, self.last + margin)

    def within(self, first: datetime, last: datetime | None) -> "Span | None":
        """Return what of it lies from `first` to `last`, None if nothing does."""
        if not self.meets(first, last):
            return None
        return Span(max(self.first, first), self.last if last is None else min(self.last, last))


def read_instant(word: str, zone: str = "", now: datetime | None = None) -> Span:
    """Return the time that a word names, in its own zone or else in `zone`; MistypedError if it cannot be told."""
    if _folded(word) in _NOW and now is not None:
        return Span(now, now)
    if not (found := _INSTANT.fullmatch(_plain(word))):
        raise MistypedError(
            _("{word}: an instant is a day, a time and a zone, such as 2026-11-20 03:15:22 GMT-3"), word=repr(word)
        )
    if not (said := found["zone"].strip(" ()[]\t") or zone.strip()):
        raise MistypedError(
            _(
                "{word}: the time zone is missing. Write it behind the time, such as GMT-3, UTC, -03:00, "
                "America/Sao_Paulo or horário de Brasília"
            ),
            word=repr(word),
        )
    local, precision = _local(word, found)
    instants = {_in_utc(local, zone, word) for zone in _zones(said)}
    if len(instants) > 1:
        raise MistypedError(_("{word}: the two time zones do not agree"), word=repr(word))
    (first,) = instants
    return Span(first, first + precision - TICK)


def _zones(said: str) -> list[tzinfo]:
    """Return the zone that words name, or both if one stands in brackets: GMT-3 (horário de Brasília)."""
    parts = [part for part in _BRACKETS.split(said) if part.strip()]
    return [read_zone(part) for part in parts] if len(parts) == 2 else [read_zone(said)]


def read_zone(word: str) -> tzinfo:
    """Return a time zone by its name, its distance from UTC, or its usual name in Brazil; MistypedError for none."""
    folded = _folded(word)
    if folded in _HOURS_AHEAD:
        return timezone(timedelta(hours=_HOURS_AHEAD[folded]))
    if found := _OFFSET.fullmatch(folded):
        hours, minutes = int(found[2]), int(found[3] or 0)
        if hours <= _OFFSET_HOURS_MAX and minutes < 60:
            ahead = timedelta(hours=hours, minutes=minutes)
            return timezone(-ahead if found[1] == "-" else ahead)
    elif (place := _PLACE.fullmatch(folded)) and place[1].strip() in _PLACES:
        return ZoneInfo(_PLACES[place[1].strip()])
    # Etc/GMT+3 is three hours behind UTC: nobody who writes it can be trusted to mean that.
    elif "/" in word and not folded.startswith("etc/"):
        try:
            return ZoneInfo(word.strip())
        except (KeyError, ValueError, OSError):
            pass
    raise MistypedError(
        _("{word} is no time zone: write GMT-3, UTC, -03:00, America/Sao_Paulo or horário de Brasília"),
        word=repr(word),
    )


def read_margin(word: str) -> timedelta:
    """Return a duration such as 90s, 5m or 1h; MistypedError for none, or for more than a week."""
    if found := _MARGIN.fullmatch(_folded(word)):
        seconds = int(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2][0]]
        if timedelta(seconds=seconds) <= MARGIN_MAX:
            return timedelta(seconds=seconds)
    raise MistypedError(_("{word}: a margin is such as 90s, 5m or 1h, a week at most"), word=repr(word))


def in_zone(instant: datetime, zone: str) -> str:
    """Return an instant as ISO 8601 writes it, in a named zone with that day's offset."""
    return instant.astimezone(ZoneInfo(zone)).isoformat()


def in_utc(instant: datetime) -> str:
    """Return an instant as ISO 8601 writes it, in UTC."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _plain(word: str) -> str:
    """Return it without accents, and with a plain minus."""
    plain = "".join(c for c in unicodedata.normalize("NFD", word.strip()) if not unicodedata.combining(c))
    return plain.replace("\N{MINUS SIGN}", "-").replace("\N{EN DASH}", "-")


def _folded(word: str) -> str:
    return _plain(word).lower()


def _local(word: str, found: re.Match[str]) -> tuple[datetime, timedelta]:
    """Return the local time and how precisely it was written."""
    fraction = found["fraction"] or ""
    try:
        local = datetime(  # noqa: DTZ001  the zone comes behind it
            int(found["year"] or found["year_last"]),
            int(found["month"] or found["month_second"]),
            int(found["day"] or found["day_first"]),
            int(found["hour"]),
            int(found["minute"]),
            int(found["second"] or 0),
            int(fraction[:_MICROSECOND_DIGITS].ljust(_MICROSECOND_DIGITS, "0")),
        )
    except ValueError:
        raise _impossible(word) from None
    if local.year not in _YEARS:
        raise _impossible(word)
    if not found["second"]:
        return local, timedelta(minutes=1)
    digits = min(len(fraction), _MICROSECOND_DIGITS)
    return local, timedelta(microseconds=10 ** (_MICROSECOND_DIGITS - digits))


def _in_utc(local: datetime, zone: tzinfo, word: str) -> datetime:
    meanings = {local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    real = sorted(at for at in meanings if at.astimezone(zone).replace(tzinfo=None) == local)
    if len(real) == 1:
        return real[0]
    if not real:
        raise MistypedError(_("{word}: that time never was, since the clocks were put forward"), word=repr(word))
    raise MistypedError(
        _("{word}: that time was twice, since the clocks were put back: say {first} or {second}"),
        word=repr(word),
        first=real[0].astimezone(zone).isoformat(" "),
        second=real[1].astimezone(zone).isoformat(" "),
    )


def _impossible(word: str) -> MistypedError:
    return MistypedError(_("{word}: there is no such day or time; the day goes before the month"), word=repr(word))
