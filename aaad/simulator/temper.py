"""How a concentrator takes orders about its sessions: as it should, or as some do.

Pure. What is typed for `aaad simulate --orders`: `nak=CAUSE` refuses (without a cause: `nak`), `idle` says yes and
changes nothing, `silent` says nothing and does nothing, `late=SECONDS` does it and says so only then. With `coa:` or
`disconnect:` before it, it is so for these orders only; with `*N` behind it, for the first N of them.
"""

import re
from typing import NamedTuple

_FORM = re.compile(
    r"(?:(coa|disconnect):)?(?:(nak)(?:=(\d{1,5}))?|(idle)|(silent)|late=(\d{1,4}(?:\.\d{1,3})?))(?:\*(\d{1,6}))?"
)


class Temper(NamedTuple):
    """How orders of one kind are taken."""

    nak: int | None = None  # refused with this Error-Cause, 0: without any; None: not refused
    is_idle: bool = False  # says yes, and changes nothing
    is_silent: bool = False
    late_s: float = 0.0  # does it at once, and says so later
    times: int = 0  # only the first so many; 0: always


OBEDIENT = Temper()


def tempers_of(text: str) -> dict[str, Temper]:
    """Return the tempers that a word means, under the names of the fields of `Nas`; ValueError if it means none."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r}: allowed are nak, nak=CAUSE, idle, silent, late=SECONDS")
    which, nak, cause, idle, silent, late, times = found.groups()
    temper = Temper(int(cause or 0) if nak else None, bool(idle), bool(silent), float(late or 0), int(times or 0))
    return {name: temper for name in ("coa", "disconnect") if which in (None, name)}
