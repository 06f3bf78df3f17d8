"""What the radius process counts: the names in its counter file, and where each one lies."""

from aaad.metrics import histogram
from aaad.policy.codes import Discard, Reason
from aaad.radius.accounting import STATUSES, UNRECORDABLE
from aaad.radius.addresses import Counted
from aaad.radius.dynauth import Outcome

RECEIVED = "aaad_radius_received_total"
ANSWERED = "aaad_radius_answered_total"
RESENT = "aaad_radius_resent_total"
STATUS = "aaad_radius_status_answered_total"
PENDING = "aaad_radius_pending_total"
SEND_FAILED = "aaad_radius_send_failed_total"
RECEIVE_FAILED = "aaad_radius_receive_failed_total"
SPOOL_REFUSED = "aaad_radius_spool_refused_total"
REFUSALS_UNCOUNTED = "aaad_radius_refusals_uncounted_total"
UNWRITTEN = "aaad_radius_unwritten_total"
# What was learned and wants to be written: taken in, and safe on the disk. A successor finds in the difference what a
# killed process took with it.
LEARNED = "aaad_radius_learned_total"
LEARNED_SAFE = "aaad_radius_learned_safe_total"
LEARNED_LOST = "aaad_radius_learned_lost_total"
BUGS = "aaad_bugs_total"
SIMULTANEOUS_UNASKED = "aaad_radius_simultaneous_unasked_total"
PROBES = "aaad_radius_probes_total"
ANSWER_SECONDS = "aaad_radius_answer_seconds"
ACCOUNTING_RECEIVED = "aaad_radius_accounting_received_total"
ACCOUNTING_ANSWERED = "aaad_radius_accounting_answered_total"
ACCOUNTING_COPIES = "aaad_radius_accounting_copies_total"
ACCOUNTING_STATUS = "aaad_radius_accounting_status_answered_total"
ACCOUNTING_SECONDS = "aaad_radius_accounting_answer_seconds"


def decided(reason: Reason) -> str:
    """Return the counter of decisions for this reason."""
    return f"aaad_radius_decisions_total|reason={reason.label}"


def discarded(cause: Discard) -> str:
    """Return the counter of datagrams left without an answer for this cause."""
    return f"aaad_radius_discarded_total|cause={cause.label}"


def addresses(counted: Counted) -> str:
    """Return the counter of what came of addresses from pools of ours."""
    return f"aaad_radius_addresses_total|outcome={counted.label}"


def accounting_record(status: str) -> str:
    """Return the counter of safe records with this Acct-Status-Type."""
    return f"aaad_radius_accounting_records_total|status={status}"


def accounting_unrecordable(missing: str) -> str:
    """Return the counter of requests that were acknowledged, although nothing could be recorded of them."""
    return f"aaad_radius_accounting_unrecordable_total|missing={missing}"


def accounting_discarded(cause: Discard) -> str:
    """Return the counter of datagrams on the accounting port left without an answer for this cause."""
    return f"aaad_radius_accounting_discarded_total|cause={cause.label}"


PROBE_OUTCOMES = {Outcome.DONE: "alive", Outcome.GONE: "gone", Outcome.REFUSED: "refused", None: "silent"}


def probed(outcome: Outcome | None) -> str:
    """Return the counter of probes that came to this; None: nobody answered."""
    return f"aaad_radius_probe_answers_total|outcome={PROBE_OUTCOMES[outcome]}"


RADIUS_COUNTERS: tuple[str, ...] = (
    RECEIVED,
    ANSWERED,
    RESENT,
    STATUS,
    PENDING,
    SEND_FAILED,
    RECEIVE_FAILED,
    SPOOL_REFUSED,
    REFUSALS_UNCOUNTED,
    UNWRITTEN,
    LEARNED,
    LEARNED_SAFE,
    LEARNED_LOST,
    BUGS,
    SIMULTANEOUS_UNASKED,
    PROBES,
    *(probed(outcome) for outcome in PROBE_OUTCOMES),
    *(decided(reason) for reason in Reason),
    *(discarded(cause) for cause in Discard),
    *(addresses(counted) for counted in Counted),
    *histogram(ANSWER_SECONDS),
    ACCOUNTING_RECEIVED,
    ACCOUNTING_ANSWERED,
    ACCOUNTING_COPIES,
    ACCOUNTING_STATUS,
    *(accounting_record(status) for status in STATUSES.values()),
    *(accounting_unrecordable(missing) for missing in UNRECORDABLE),
    *(accounting_discarded(cause) for cause in Discard),
    *histogram(ACCOUNTING_SECONDS),
)


def positions_by_code(names: dict[str, int], codes: type[Reason] | type[Discard]) -> list[int]:
    """Return a list that gives the position of a code's counter at the code's own number."""
    found = [0] * (max(codes) + 1)
    for code in codes:
        found[code] = names[decided(code) if isinstance(code, Reason) else discarded(code)]
    return found
