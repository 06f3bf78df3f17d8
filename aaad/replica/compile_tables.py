"""From rows of PostgreSQL to the small tables' values: plans with their phases and attributes, router administrators.

Asks PostgreSQL nothing itself and trusts its checks: a row that breaks them was not written.
"""

from collections import defaultdict
from collections.abc import Sequence

from aaad.policy.codes import MppePolicy
from aaad.policy.facts import PhaseFacts, PlanFacts, Speed
from aaad.replica.compile import Columns, RowUnusable, key_of, nt_hash
from aaad.replica.record import AdministratorRow

_MPPE = {
    "unsaid": int(MppePolicy.UNSAID),
    "allowed": int(MppePolicy.ALLOWED),
    "required": int(MppePolicy.REQUIRED),
}


def compile_plans(
    plans: Sequence[Columns], phases: Sequence[Columns], attributes: Sequence[Columns]
) -> list[PlanFacts]:
    """Put each plan together from its row, its active phases and its extra attributes."""
    phases_of: defaultdict[int, dict[str, PhaseFacts]] = defaultdict(dict)
    for row in phases:
        phases_of[row["plan_id"]][row["phase"]] = _phase(row)
    attributes_of = {row["plan_id"]: bytes(row["attributes"]) for row in attributes}
    return [_plan(row, phases_of[row["id"]], attributes_of.get(row["id"], b"")) for row in plans]


def compile_administrator(row: Columns) -> AdministratorRow | None:
    """Return a router administrator; None for a name or password that cannot be compiled."""
    try:
        return AdministratorRow(
            administrator_id=row["id"],
            name=key_of(row["name"]),
            password=row["password"].encode(),
            nt_hash=nt_hash(row["password"]),
            group=row["router_group"],
            nas_id=row["nas_id"],
        )
    except (RowUnusable, UnicodeEncodeError):
        return None


def _plan(row: Columns, phases: dict[str, PhaseFacts], attributes: bytes) -> PlanFacts:
    may_change = row["may_change_speed"]  # else the plan's own speed holds at all hours
    return PlanFacts(
        plan_id=row["id"],
        name=row["name"],
        speed=_speed(row) if row["is_limited"] else None,
        session_timeout_s=row["session_timeout_s"],
        idle_timeout_s=row["idle_timeout_s"],
        interim_interval_s=row["interim_interval_s"],
        normal_hours=row["hours"] if may_change else 0,
        reduced=phases.get("reduced") if may_change else None,
        turbo=phases.get("turbo") if may_change else None,
        late_after_days=row["late_after_days"],
        late_plan_id=row["late_plan_id"],
        cap_plan_id=row["cap_plan_id"],
        ipv4_pool=row["ipv4_pool"] or "",
        ipv6_pool=row["ipv6_pool"] or "",
        delegated_ipv6_pool=row["delegated_ipv6_pool"] or "",
        address_list=row["address_list"] or "",
        address_list_ipv6=row["address_list_ipv6"] or "",
        group=row["router_group"] or "",
        filter_ids=tuple(row["filter_ids"]),
        dns=tuple(row["dns"]),
        mppe=_MPPE[row["mppe"]],
        attributes=attributes,
    )


def _phase(row: Columns) -> PhaseFacts:
    replacement_id = row["replacement_plan_id"]
    return PhaseFacts(row["hours"], None if replacement_id else _speed(row), replacement_id)


def _speed(row: Columns) -> Speed:
    return Speed(
        upload=row["upload"],
        download=row["download"],
        upload_burst=row["upload_burst"] or "",
        download_burst=row["download_burst"] or "",
        upload_threshold=row["upload_burst_threshold"] or "",
        download_threshold=row["download_burst_threshold"] or "",
        upload_burst_time_s=row["upload_burst_time_s"] or 0,
        download_burst_time_s=row["download_burst_time_s"] or 0,
        priority=row["priority"] or 0,
        upload_guaranteed=row["upload_guaranteed"] or "",
        download_guaranteed=row["download_guaranteed"] or "",
    )
