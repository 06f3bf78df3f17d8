"""The ladder from a late payment to the block: what of it is due for a contract, when the rest will be, and why.

Pure. Steps are configuration (erp.ladder_step); the default is Anatel's resolution 765/2023: notice, block 15 days
after the notice, after 60 days of block the termination, which is only proposed. Days count from the due date, as
ERPs have it (billing type), and a block besides from the first notice of that debt (parameters require_notice,
days_after_notice): the later of both decides. Whose title it is stands in `titles_of`: a contract is blocked for
its own titles, and for those of the client alone where parameter single_receivables_block says so. Rules R4.2
(trust unlock: the ladder waits) and R8.6 (business hours and days).
"""

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

from aaad.agenda.terms import BranchTerms
from aaad.agenda.workdays import Workdays
from aaad.policy.calendar import midnight_s

NOTICE_DAYS, BLOCK_DAYS = 5, 15  # where no billing type says it
_DAY_S = 86_400


def _(english: str) -> str:
    """Mark a text for translation."""
    return english


_UNNOTICED = _("contracts are blocked without notice, since require_notice is N: Anatel asks for it 15 days before")
_TOO_SOON = _("days_after_notice is lower than 15: Anatel allows a block 15 days after the notice at the earliest")


class Action(StrEnum):
    """What a step does."""

    NOTIFY = "notify"
    REDUCE = "reduce"
    BLOCK = "block"
    PROPOSE_TERMINATION = "propose_termination"


class Since(StrEnum):
    """From when a step's days count."""

    DUE = "due"
    NOTICE = "notice"
    BLOCK = "block"


class Why(StrEnum):
    """Why a step is due, or is not."""

    DUE = "due"
    NOT_YET = "not_yet"  # its days are not over
    NOTICE_MISSING = "notice_missing"
    NOTICE_YOUNG = "notice_young"
    SWITCHED_OFF = "switched_off"  # block_automatically, notice_automatically, late_speed
    PUT_OFF = "put_off"  # do_not_block_until, do_not_notice_until, not_reduced_until
    ON_TRUST = "on_trust"
    FORCED = "forced"  # force_access: no program changes it
    SUSPENDED = "suspended"
    UNBLOCKED_TODAY = "unblocked_today"
    CLOSED_HOURS = "outside_hours"
    CLOSED_DAY = "no_block_day"
    HOLIDAY = "holiday"
    HOLIDAY_EVE = "holiday_eve"


class Step(NamedTuple):
    """One row of a ladder. No days: as the billing type says."""

    action: Action
    since: Since = Since.DUE
    days: int | None = None


ANATEL = (Step(Action.NOTIFY), Step(Action.BLOCK), Step(Action.PROPOSE_TERMINATION, Since.BLOCK, 60))


class Title(NamedTuple):
    """An open title of the contract's client."""

    due_day: int
    contract_id: int | None = None
    is_single: bool = False
    of_renegotiation: bool = False


class Contract(NamedTuple):
    """What is known of a contract of status A."""

    contract_id: int
    branch_id: int = 0
    access_status: str = "A"
    titles: tuple[Title, ...] = ()
    notices_s: tuple[float, ...] = ()  # when its client was told, oldest first
    notice_days: int = NOTICE_DAYS
    block_days: int = BLOCK_DAYS
    block_renegotiated_days: int = BLOCK_DAYS
    block_automatically: bool = True
    notice_automatically: bool = True
    late_speed: bool = True
    is_forced: bool = False
    do_not_block_until_day: int | None = None
    do_not_notice_until_day: int | None = None
    not_reduced_until_day: int | None = None
    is_on_trust: bool = False
    is_suspended: bool = False
    is_reduced: bool = False
    blocked_at_s: float | None = None
    unblocked_at_s: float | None = None


class Verdict(NamedTuple):
    """What is to be said of one step."""

    action: Action
    why: Why
    at_s: float | None  # since when it is due, or when it will be as far as is known
    due_day: int  # of the title that it is for
    days: int  # how many of its step are asked for

    @property
    def is_due(self) -> bool:
        """Whether to act now."""
        return self.why is Why.DUE


class Day(NamedTuple):
    """A branch at a moment."""

    now_s: float
    terms: BranchTerms
    workdays: Workdays

    @property
    def today(self) -> int:
        """Which day it is there."""
        return self.workdays.day_at(self.now_s)

    def begins_s(self, day: int) -> float:
        """When a day begins there."""
        return midnight_s(day, self.workdays.utc_offset_s)


def titles_of(contract: Contract, titles: Iterable[Title], terms: BranchTerms) -> list[Title]:
    """Return which open titles of its client count for a contract."""
    return [
        title
        for title in titles
        if (title.contract_id == contract.contract_id and (terms.singles_count or not title.is_single))
        or (title.contract_id is None and terms.singles_count)
    ]


def judge(contract: Contract, steps: Sequence[Step], day: Day) -> list[Verdict]:
    """Return what is to be said of each step that concerns a contract as it is now."""
    return list(_verdicts(contract, steps, day))


def still_blocks(contract: Contract, steps: Sequence[Step], day: Day) -> bool:
    """Whether what is open is late enough to be blocked for, switches, notices and hours apart.

    If not, who was blocked for what he has paid since is not blocked for the rest.
    """
    return _is_late_enough(contract, steps, day, Action.BLOCK)


def still_tells(contract: Contract, steps: Sequence[Step], day: Day) -> bool:
    """The same of the notice."""
    return _is_late_enough(contract, steps, day, Action.NOTIFY)


def warnings(steps: Sequence[Step], terms: BranchTerms) -> list[str]:
    """Return what is short of Anatel's rule, in words to be translated."""
    if not any(step.action is Action.BLOCK for step in steps) or not terms.is_against_the_law:
        return []
    if not terms.require_notice:
        return [_UNNOTICED]
    return [_TOO_SOON]


# --- steps ----------------------------------------------------------------------------------------------------------


def _verdicts(contract: Contract, steps: Sequence[Step], day: Day) -> Iterator[Verdict]:
    late = [title for title in titles_of(contract, contract.titles, day.terms) if title.due_day < day.today]
    if not late:
        return
    for step in steps:
        if step.action is Action.NOTIFY and contract.access_status in ("A", "FA"):
            yield from _notify(contract, step, late, day)
        elif step.action is Action.REDUCE and contract.access_status in ("A", "FA") and not contract.is_reduced:
            yield _late(contract, step, late, day, _reduce_switch(contract, day))
        elif step.action is Action.BLOCK and contract.access_status in ("A", "FA"):
            yield _block(contract, step, late, day)
        elif step.action is Action.PROPOSE_TERMINATION and contract.access_status == "CA":
            yield from _propose_termination(contract, step, late, day)


def _notify(contract: Contract, step: Step, late: Sequence[Title], day: Day) -> Iterator[Verdict]:
    days = contract.notice_days if step.days is None else step.days
    due_day = min(title.due_day for title in late)
    on_day = due_day + days
    if any(day.workdays.day_at(at_s) >= max(on_day, due_day + 1) for at_s in contract.notices_s):
        return  # told
    why, at_s = _switch(
        contract,
        day,
        is_off=not contract.notice_automatically,
        until_day=contract.do_not_notice_until_day,
    )
    if why is None:
        why, at_s = (Why.DUE if on_day <= day.today else Why.NOT_YET), day.begins_s(on_day)
    yield Verdict(Action.NOTIFY, why, at_s, due_day, days)


def _block(contract: Contract, step: Step, late: Sequence[Title], day: Day) -> Verdict:
    switch = _switch(
        contract, day, is_off=not contract.block_automatically, until_day=contract.do_not_block_until_day
    )
    if switch[0] is None and contract.unblocked_at_s is not None:
        unblocked_day = day.workdays.day_at(contract.unblocked_at_s)
        if unblocked_day >= day.today:  # who was let in by hand today is not cut again at once
            switch = Why.UNBLOCKED_TODAY, day.begins_s(unblocked_day + 1)
    found = _late(contract, step, late, day, switch)
    if not found.is_due:
        return found
    closed = day.workdays.closed(day.now_s)
    return found if closed is None else found._replace(why=Why(closed), at_s=day.workdays.opens_s(day.now_s))


def _late(
    contract: Contract, step: Step, late: Sequence[Title], day: Day, switch: tuple[Why | None, float | None]
) -> Verdict:
    """Judge a step that counts from due date or notice."""
    of_title = {title: _days_of(contract, step, title) for title in late}
    first = min(late, key=lambda title: title.due_day + (of_title[title] if step.since is Since.DUE else 0))
    days, due_day = of_title[first], first.due_day
    why, at_s = switch
    if why is not None:
        return Verdict(step.action, why, at_s, due_day, days)
    ready_s = day.begins_s(due_day + max(days, 1) if step.since is Since.DUE else 0)
    after_notice = max(
        days if step.since is Since.NOTICE else 0,
        day.terms.days_after_notice if step.action is Action.BLOCK and day.terms.require_notice else 0,
    )
    needs_notice = step.since is Since.NOTICE or (step.action is Action.BLOCK and day.terms.require_notice)
    is_young = False
    if needs_notice:
        told_s = _told_s(contract, due_day, day)
        if told_s is None:
            return Verdict(step.action, Why.NOTICE_MISSING, None, due_day, days)
        noticed_s = told_s + after_notice * _DAY_S  # told at night, not blocked in the morning
        is_young = noticed_s > max(ready_s, day.now_s)
        ready_s = max(ready_s, noticed_s)
    if ready_s <= day.now_s:
        return Verdict(step.action, Why.DUE, ready_s, due_day, days)
    at_s = ready_s
    if step.action is Action.BLOCK:
        at_s = day.workdays.opens_s(at_s) or at_s
    return Verdict(step.action, Why.NOTICE_YOUNG if is_young else Why.NOT_YET, at_s, due_day, days)


def _propose_termination(contract: Contract, step: Step, late: Sequence[Title], day: Day) -> Iterator[Verdict]:
    if contract.blocked_at_s is None or step.days is None:
        return
    on_day = day.workdays.day_at(contract.blocked_at_s) + step.days
    why = Why.DUE if on_day <= day.today else Why.NOT_YET
    due_day = min(title.due_day for title in late)
    yield Verdict(Action.PROPOSE_TERMINATION, why, day.begins_s(on_day), due_day, step.days)


def _reduce_switch(contract: Contract, day: Day) -> tuple[Why | None, float | None]:
    return _switch(contract, day, is_off=not contract.late_speed, until_day=contract.not_reduced_until_day)


def _switch(contract: Contract, day: Day, *, is_off: bool, until_day: int | None) -> tuple[Why | None, float | None]:
    """Return what stands against a step, and until when; None: nothing."""
    if contract.is_forced:
        return Why.FORCED, None
    if contract.is_suspended:  # no notice clock runs in a suspension at the client's wish
        return Why.SUSPENDED, None
    if is_off:
        return Why.SWITCHED_OFF, None
    if contract.is_on_trust:
        return Why.ON_TRUST, None
    if until_day is not None and until_day >= day.today:
        return Why.PUT_OFF, day.begins_s(until_day + 1)
    return None, None


def _days_of(contract: Contract, step: Step, title: Title) -> int:
    if step.days is not None:
        return step.days
    return contract.block_renegotiated_days if title.of_renegotiation else contract.block_days


def _told_s(contract: Contract, due_day: int, day: Day) -> float | None:
    """Return when the first notice of this debt was given: after its due date."""
    return next((at_s for at_s in contract.notices_s if day.workdays.day_at(at_s) > due_day), None)


def _is_late_enough(contract: Contract, steps: Sequence[Step], day: Day, action: Action) -> bool:
    late = [title for title in titles_of(contract, contract.titles, day.terms) if title.due_day < day.today]
    for step in steps:
        if step.action is not action:
            continue
        for title in late:
            days = _days_of(contract, step, title) if action is Action.BLOCK else step.days
            days = contract.notice_days if days is None else days
            if step.since is Since.NOTICE or title.due_day + days <= day.today:
                return True
    return False
