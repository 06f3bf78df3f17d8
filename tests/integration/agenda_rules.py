"""What the tables of the agenda refuse, by the name of the rule: part of the list in test_erp_schema."""

from datetime import UTC, date, datetime
from typing import Any

TASK: dict[str, Any] = {"kind": "block", "contract_id": 1}
LADDER_STEP: dict[str, Any] = {"action": "notify", "since": "due", "days": 7}
HOLIDAY: dict[str, Any] = {"day": date(2026, 8, 25), "name": "Aniversário"}
NOTICE: dict[str, Any] = {"contract_id": 1, "client_id": 1, "channel": "sms", "text_sha256": bytes(32)}
PAYMENT: dict[str, Any] = {"contracts": [1], "due_days": [date(2026, 7, 1)]}
FAR = datetime(2200, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 7, 1, tzinfo=UTC)

AGENDA_TABLES = {
    "erp.task": TASK,
    "erp.ladder_step": LADDER_STEP,
    "erp.holiday": HOLIDAY,
    "erp.notice": NOTICE,
    "net.payment": PAYMENT,
}

AGENDA_REFUSED = [
    ("erp.task", TASK, {"kind": "nothing"}, {"task_kind_known", "task_target"}),
    ("erp.task", TASK, {"contract_id": None}, "task_target"),
    ("erp.task", TASK, {"login_id": 1}, "task_target"),
    ("erp.task", TASK, {"kind": "purge"}, "task_target"),
    ("erp.task", TASK, {"arguments": "[]"}, "task_arguments_form"),
    ("erp.task", TASK, {"due_at": FAR}, "task_due_at_range"),
    ("erp.task", TASK, {"state": "doing", "ended_at": NOW}, "task_state_known"),
    ("erp.task", TASK, {"state": "done"}, "task_end_whole"),
    ("erp.task", TASK, {"ended_at": NOW}, "task_end_whole"),
    ("erp.ladder_step", LADDER_STEP, {"action": "sue"}, "ladder_step_action_known"),
    (
        "erp.ladder_step",
        LADDER_STEP,
        {"action": "block", "since": "birth"},
        {"ladder_step_since_known", "ladder_step_since_fits"},
    ),
    ("erp.ladder_step", LADDER_STEP, {"since": "notice"}, "ladder_step_since_fits"),
    ("erp.ladder_step", LADDER_STEP, {"action": "block", "since": "block"}, "ladder_step_since_fits"),
    ("erp.ladder_step", LADDER_STEP, {"action": "propose_termination"}, "ladder_step_since_fits"),
    ("erp.ladder_step", LADDER_STEP, {"days": 366}, "ladder_step_days_range"),
    ("erp.ladder_step", LADDER_STEP, {"days": -1}, "ladder_step_days_range"),
    ("erp.ladder_step", LADDER_STEP, {"action": "reduce", "days": None}, "ladder_step_days_said"),
    ("erp.ladder_step", LADDER_STEP, {"days": None}, "ladder_step_unique"),
    ("erp.holiday", HOLIDAY, {"day": date(2100, 1, 1)}, "holiday_day_range"),
    ("erp.holiday", HOLIDAY, {"name": " x"}, "holiday_name_no_outer_space"),
    ("erp.notice", NOTICE, {"channel": "pigeon"}, "notice_channel_known"),
    ("erp.notice", NOTICE, {"text_sha256": b"short"}, "notice_text_hashed"),
    ("erp.notice", NOTICE, {"receipt": ""}, "notice_receipt_no_outer_space"),
    ("erp.notice", NOTICE, {"told_at": FAR}, "notice_told_at_range"),
]
