"""What follows when a session reports an address of which the ledger says something else (rules R7.1, R7.3).

Pure. While a pool adopts, what is reported is believed: it becomes the lease of its login. Else it was not given out
here: the ledger is marked, so that nobody else gets the address, and a finding is opened. What belongs to somebody is
never taken from him by what another one reports.
"""

from enum import StrEnum
from typing import NamedTuple


class Action(StrEnum):
    """What is written into the ledger."""

    NOTHING = "nothing"
    BIND = "bind"  # it becomes the login's lease
    MARK = "mark"  # it becomes foreign: nobody gets it while it is reported


class Finding(StrEnum):
    """What does not fit together, as in net.address_finding."""

    NOT_GIVEN = "not_given"
    OF_ANOTHER = "of_another"
    OTHER_ADDRESS = "other_address"
    TWICE = "twice"


class Report(NamedTuple):
    """An address of a live session, and what the ledger says of it."""

    login_id: int | None  # None: nobody knows whose session it is
    is_settled: bool  # all that was written before the session began is in PostgreSQL
    in_pool: bool  # it lies in a range of a pool that is given out here
    is_adopting: bool = False  # that pool adopts
    lived_before: bool = False  # the session is older than the pool, or than what we know of its NAS
    is_of_its_reserve: bool = False  # who granted the session has it in his reserve
    state: str | None = None  # of its lease; None: it has none
    holder_id: int | None = None  # the lease's login
    holder_lives: bool = False  # the lease's login uses it, or was just offered it


class Verdict(NamedTuple):
    """What to do."""

    action: Action
    finding: Finding | None = None
    adopts: bool = False  # the pool begins to adopt: it is used in a network that lived before


_NOTHING = Verdict(Action.NOTHING)


def judge(report: Report) -> Verdict:
    """Say what follows from a report."""
    is_known = report.login_id is not None
    if report.state == "released" and is_known and report.holder_id == report.login_id:
        return Verdict(Action.BIND)  # it was his, and its next session came before anybody else's
    if not report.in_pool and report.state is None:
        return Verdict(Action.NOTHING, Finding.OTHER_ADDRESS) if report.is_settled else _NOTHING
    believes = report.is_adopting or report.lived_before or report.is_of_its_reserve
    begins = report.in_pool and report.lived_before and not report.is_adopting
    if report.state is None and is_known and believes:
        return Verdict(Action.BIND, adopts=begins)
    if not report.is_settled:
        return _NOTHING  # what tells that it was given out may still be on its way
    if report.state in ("bound", "fixed") and is_known and report.holder_id == report.login_id:
        return _NOTHING
    if report.state == "fixed" or (report.state == "bound" and report.holder_lives):
        return Verdict(Action.NOTHING, Finding.OF_ANOTHER)
    if report.state == "foreign" and report.holder_lives and report.holder_id != report.login_id:
        return Verdict(Action.NOTHING, Finding.TWICE)
    if is_known and believes and report.in_pool:
        return Verdict(Action.BIND, adopts=begins)
    is_marked = report.state == "foreign" and report.holder_id == report.login_id
    return Verdict(Action.NOTHING if is_marked else Action.MARK, Finding.NOT_GIVEN, adopts=begins)
