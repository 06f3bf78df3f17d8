"""From rows to plans: what a plan may not do, its phases do not either."""

from aaad.policy.facts import PhaseFacts, Speed
from aaad.replica.compile_tables import compile_plans

SHAPE = dict.fromkeys(
    (
        *("upload_burst", "download_burst", "upload_burst_threshold", "download_burst_threshold"),
        *("upload_burst_time_s", "download_burst_time_s", "priority", "upload_guaranteed", "download_guaranteed"),
    )
)
PLAN = SHAPE | {
    "id": 1, "name": "Home", "is_limited": True, "session_timeout_s": 0, "idle_timeout_s": 0,
    "interim_interval_s": 300, "hours": 0b110, "upload": "5M", "download": "9M", "may_change_speed": True,
    "late_after_days": 0, "late_plan_id": 0, "cap_plan_id": 0, "ipv4_pool": None, "ipv6_pool": None,
    "delegated_ipv6_pool": None, "address_list": None, "address_list_ipv6": None, "router_group": None,
    "filter_ids": [], "dns": [], "mppe": "unsaid",
}  # fmt: skip
NIGHT = SHAPE | {
    "plan_id": 1, "phase": "turbo", "hours": 0b1, "replacement_plan_id": 0, "upload": "6M", "download": "10M",
}  # fmt: skip


def test_the_speed_of_a_plan_changes_at_its_hours() -> None:
    (plan,) = compile_plans([PLAN], [NIGHT, NIGHT | {"phase": "reduced"}], [])
    assert plan.normal_hours == 0b110
    assert plan.turbo == plan.reduced == PhaseFacts(0b1, Speed("6M", "10M"), 0)


def test_a_plan_that_may_not_change_its_speed_has_its_own_at_all_hours() -> None:
    (plan,) = compile_plans([PLAN | {"may_change_speed": False}], [NIGHT, NIGHT | {"phase": "reduced"}], [])
    assert (plan.normal_hours, plan.turbo, plan.reduced) == (0, None, None)
    assert plan.speed == Speed("5M", "9M")
