"""What is counted of orders: the names in the counter file of the role that carries them out."""

from aaad.metrics import histogram
from aaad.orders.cascade import Said, Step
from aaad.orders.wish import ENDED_STATES, OPEN_STATES

KINDS = ("change", "lists", "disconnect")
_RADIUS = (Said.DONE, Said.GONE, Said.REFUSED, Said.SILENT, Said.REJECTED, Said.UNSENT)
_TOOL = (Said.DONE, Said.REFUSED, Said.SILENT)
ANSWERS: dict[Step, tuple[Said, ...]] = {
    Step.COA: _RADIUS,
    Step.DISCONNECT: _RADIUS,
    Step.LISTS: _TOOL,
    Step.COOKIE: _TOOL,
    Step.API: (*_TOOL, Said.GONE, Said.OTHER, Said.AS_BEFORE),
    Step.READ: (
        Said.AS_WANTED, Said.AS_BEFORE, Said.LISTS_DIFFER, Said.NOTHING_TO_READ, Said.UNREADABLE, Said.REFUSED,
        Said.GONE, Said.OTHER,
    ),
}  # fmt: skip

TAKEN = "aaad_orders_taken_total"
READS = "aaad_orders_reads_total"
NO_EFFECT = "aaad_orders_no_effect_total"
OLDEST_S = "aaad_orders_oldest_age_seconds"
DOWN = "aaad_silent_concentrators"
SECONDS = "aaad_order_seconds"
FAILED = "aaad_orders_failures_total"
BUGS = "aaad_bugs_total"
JOBS = ("take", "save", "look_after", "tidy", "count")


def answered(step: Step, said: Said) -> str:
    """Return the counter of steps that came to this."""
    return f"aaad_orders_steps_total|step={step}|said={said}"


def ended(kind: str, state: str) -> str:
    """Return the counter of orders that ended so."""
    return f"aaad_orders_ended_total|kind={kind}|state={state}"


def open_in(kind: str, state: str) -> str:
    """Return the gauge of open orders of the whole cluster."""
    return f"aaad_open_orders|kind={kind}|state={state}"


ORDER_COUNTERS: tuple[str, ...] = (
    TAKEN,
    READS,
    NO_EFFECT,
    OLDEST_S,
    DOWN,
    *(answered(step, said) for step, all_said in ANSWERS.items() for said in all_said),
    *(ended(kind, state) for kind in KINDS for state in ENDED_STATES),
    *(open_in(kind, state) for kind in KINDS for state in OPEN_STATES),
    *(f"{FAILED}|job={job}" for job in JOBS),
    *histogram(SECONDS),
    BUGS,
)
