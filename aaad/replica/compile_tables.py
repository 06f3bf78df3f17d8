"""From rows of PostgreSQL to the small tables' values: plans with their phases and attributes, and all others.

Asks PostgreSQL nothing itself. A row that cannot be compiled, or that no node could read again, is left out and
noted: it never stops the others.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import msgspec

from aaad.policy.codes import MppePolicy
from aaad.policy.facts import PhaseFacts, PlanFacts, Speed
from aaad.replica.compile import Columns, RowUnusable, key_of, nt_hash
from aaad.replica.record import AdministratorRow, BranchRow, NasRow, ParameterRow, PoolRow, RouterRow, UnusableRow

_Value = TypeVar("_Value")

_MPPE = {
    "unsaid": int(MppePolicy.UNSAID),
    "allowed": int(MppePolicy.ALLOWED),
    "required": int(MppePolicy.REQUIRED),
}


def compile_rows(
    table: str, rows: Iterable[Columns], compile_row: Callable[[Any], _Value], unusable: list[UnusableRow]
) -> list[_Value]:
    """Compile the rows of a small table; note those that cannot be."""
    found: list[_Value] = []
    for row in rows:
        try:
            found.append(_readable(compile_row(row)))
        except (RowUnusable, msgspec.MsgspecError) as error:
            unusable.append(UnusableRow(table, _key(table, row), str(error)))
        except Exception as bug:  # noqa: BLE001  one row must never stop the feed, whatever is in it
            unusable.append(UnusableRow(table, _key(table, row), f"cannot be compiled ({type(bug).__name__})"))
    return found


def _readable(value: _Value) -> _Value:
    """Return a value that nodes can read again; if they cannot, msgspec's error, which tells where and no value."""
    _DECODERS[type(value)].decode(_encoder.encode(value))
    return value


_DECODERS: dict[type, "msgspec.msgpack.Decoder[Any]"] = {
    kind: msgspec.msgpack.Decoder(kind)
    for kind in (NasRow, RouterRow, PlanFacts, ParameterRow, BranchRow, AdministratorRow, PoolRow)
}
_encoder = msgspec.msgpack.Encoder()
_KEYS = {"parameter": ("name", "branch_id"), "router": ("nas_id", "source_address", "nas_identifier")}


def _key(table: str, row: Columns) -> str:
    """Return what `row_key` says of the row when it is served."""
    return "/".join(str(row[column]) for column in _KEYS.get(table, ("id",)))


def compile_plans(
    plans: Sequence[Columns],
    phases: Sequence[Columns],
    attributes: Sequence[Columns],
    unusable: list[UnusableRow],
) -> list[PlanFacts]:
    """Put each plan together from its row, its active phases and its extra attributes."""
    phases_of: defaultdict[int, list[Columns]] = defaultdict(list)
    for row in phases:
        phases_of[row["plan_id"]].append(row)
    attributes_of = {row["plan_id"]: row["attributes"] for row in attributes}

    def compile_plan(row: Columns) -> PlanFacts:
        its_phases = {phase["phase"]: _phase(phase) for phase in phases_of[row["id"]]}
        return _plan(row, its_phases, bytes(attributes_of.get(row["id"], b"")))

    return compile_rows("plan", plans, compile_plan, unusable)


def compile_administrator(row: Columns) -> AdministratorRow:
    """Return a router administrator."""
    return AdministratorRow(
        administrator_id=row["id"],
        name=key_of(row["name"]),
        password=row["password"].encode(),
        nt_hash=nt_hash(row["password"]),
        group=row["router_group"],
        nas_id=row["nas_id"],
    )


def compile_nas(row: Columns) -> NasRow:
    """Return a NAS entry with all its secrets."""
    return NasRow(
        nas_id=row["id"],
        name=row["name"],
        address=row["address"],
        secret=row["secret"].encode(),
        secret_previous=row["secret_previous"].encode(),
        secret_previous_until_s=row["secret_previous_until_s"],
        kind=row["kind"],
        enabled=row["enabled"],
        message_authenticator=row["message_authenticator"],
        deadline_ms=row["deadline_ms"],
        branch_id=row["branch_id"],
        secrets=tuple(
            (secret.encode(), until_s) for secret, until_s in zip(row["secrets"], row["secrets_until_s"], strict=True)
        ),
        octets_swapped=row["octets_swapped"],
        address_space=row["address_space"],
        ipv4_pool=row["ipv4_pool"],
        ipv6_pool=row["ipv6_pool"],
        delegated_ipv6_pool=row["delegated_ipv6_pool"],
    )


def compile_router(row: Columns) -> RouterRow:
    """Return a router."""
    return RouterRow(
        nas_id=row["nas_id"],
        source_address=row["source_address"],
        nas_identifier=row["nas_identifier"],
        armed_at_s=row["armed_at_s"],
        reset_at_s=row["reset_at_s"],
        secret_fingerprint=row["secret_fingerprint"],
        secret_proven_at_s=row["secret_proven_at_s"],
    )


def compile_parameter(row: Columns) -> ParameterRow:
    """Return a parameter."""
    return ParameterRow(row["name"], row["branch_id"], row["value"])


def compile_branch(row: Columns) -> BranchRow:
    """Return a branch."""
    return BranchRow(row["id"], row["time_zone"])


def compile_pool(row: Columns) -> PoolRow:
    """Return a pool."""
    return PoolRow(
        pool_id=row["id"],
        address_space=row["address_space"],
        name=row["name"],
        kind=row["kind"],
        family=row["family"],
        prefix_length=row["prefix_length"],
        state=row["state"],
        adopting=row["adopting"],
        valid_s=row["valid_s"],
        reserve_size=row["reserve_size"],
        ipv4_pool_id=row["ipv4_pool_id"],
        ipv6_pool_id=row["ipv6_pool_id"],
        delegated_pool_id=row["delegated_pool_id"],
    )


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
