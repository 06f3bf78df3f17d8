"""From rows to plans: what a plan may not do, its phases do not either."""

from aaad.policy.facts import PhaseFacts, Speed
from aaad.replica.compile_tables import compile_parameter, compile_plans, compile_rows
from aaad.replica.merge import keep_unusable, new_unusable
from aaad.replica.record import ParameterRow, Tables, UnusableRow

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
    (plan,) = compile_plans([PLAN], [NIGHT, NIGHT | {"phase": "reduced"}], [], [])
    assert plan.normal_hours == 0b110
    assert plan.turbo == plan.reduced == PhaseFacts(0b1, Speed("6M", "10M"), 0)


def test_a_plan_that_may_not_change_its_speed_has_its_own_at_all_hours() -> None:
    (plan,) = compile_plans([PLAN | {"may_change_speed": False}], [NIGHT, NIGHT | {"phase": "reduced"}], [], [])
    assert (plan.normal_hours, plan.turbo, plan.reduced) == (0, None, None)
    assert plan.speed == Speed("5M", "9M")


def test_a_row_that_no_node_could_read_again_is_left_out_and_told() -> None:
    unusable: list[UnusableRow] = []
    rows = [PLAN | {"id": 2, "filter_ids": [["a", "b"]]}, PLAN | {"id": 3, "mppe": "other"}, PLAN]
    found = compile_plans(rows, [NIGHT | {"plan_id": 4, "hours": "x"}], [], unusable)
    assert [plan.plan_id for plan in found] == [1]
    assert [(row.table, row.key) for row in unusable] == [("plan", "2"), ("plan", "3")]
    assert compile_plans([PLAN], [NIGHT | {"hours": "x"}], [], unusable) == []
    parameters = [{"name": "dns", "branch_id": 0, "value": None}, {"name": "dns", "branch_id": 2, "value": ""}]
    assert compile_rows("parameter", parameters, compile_parameter, unusable) == [ParameterRow("dns", 2, "")]
    assert unusable[-1].key == "dns/0"


def test_what_cannot_be_compiled_is_served_as_it_was_and_what_never_was_is_not() -> None:
    (plan,) = compile_plans([PLAN], [], [], [])
    dns = ParameterRow("dns", 0, "192.0.2.1")
    served = Tables(1, [], [], [plan], [dns], b"", 1)
    unusable = [UnusableRow("plan", key, "why") for key in "12"] + [UnusableRow("parameter", "dns/0", "why")]
    fresh = Tables(0, [], [], [plan._replace(plan_id=3)], [], b"", 1, unusable=unusable)
    kept = keep_unusable(served, fresh)
    assert [found.plan_id for found in kept.plans] == [1, 3]
    assert kept.parameters == [dns]
    assert new_unusable(served, kept) == unusable
    assert new_unusable(kept, kept) == []
