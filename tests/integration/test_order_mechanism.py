"""Every row of the mechanism: from the COMMIT that changes something to the order about each live session of it.

For PPPoE and Hotspot, IPv4 and IPv6, and contracts with several logins. Branch 1 refuses who is blocked, branch 2
puts him on an address list, branch 3 into pools of blocked addresses.
"""

from pathlib import Path
from typing import NamedTuple

import asyncpg
from order_house import HOTSPOT, PPPOE, order_house

SEED = """
INSERT INTO erp.branch (id, name) VALUES (1, 'refuses'), (2, 'lists'), (3, 'pools');
INSERT INTO erp.parameter (name, branch_id, value) VALUES
    ('blocked_state', 2, 'S'), ('blocked_upload', 2, '64k'), ('blocked_download', 2, '64k'),
    ('blocked_address_list', 2, 'BLOQUEADO'), ('blocked_address_list_ipv6', 2, 'BLOQUEADO6'),
    ('notice_address_list', 2, 'AVISO'),
    ('blocked_state', 3, 'S'), ('blocked_upload', 3, '64k'), ('blocked_download', 3, '64k'),
    ('blocked_ipv4_pool', 3, 'presos'), ('blocked_delegated_ipv6_pool', 3, 'presos6');
INSERT INTO erp.plan (id, name, upload, download) VALUES
    (1, 'Fibra 50', '25M', '50M'), (2, 'Fibra 100', '50M', '100M'), (3, 'Reduzido', '1M', '2M');
INSERT INTO erp.plan (id, name, upload, download, late_after_days, late_plan_id)
    VALUES (4, 'Atrasa', '25M', '50M', 5, 3);
INSERT INTO erp.plan (id, name, upload, download, cap_gigabytes, cap_kind, cap_plan_id)
    VALUES (5, 'Franquia', '25M', '50M', 10, 'M', 3);
INSERT INTO erp.billing_type (id, name, payment) VALUES (1, 'Pre', 'Pre');
INSERT INTO net.nas (id, name, address, secret, api_user, api_password)
    VALUES (1, 'one', '127.0.0.0/8', 'testing123', 'aaad', 'a secret');
"""

# Two contracts are blocked before, on branch 2: two logins of each, by PPPoE and Hotspot, begin on a list.
LISTED_SESSIONS = 8
LISTS_ARE_WRITTEN = """
WITH over AS (DELETE FROM net.network_order RETURNING *)
INSERT INTO net.session_applied (family, life, fingerprint, evidence)
SELECT family, life, wanted_fingerprint, 'read' FROM over
"""


class Expected(NamedTuple):
    """What is ordered of one service's sessions."""

    kind: str
    cause: str
    is_gone: bool = False  # it must go, and not come back
    cuts: bool = False
    is_certain: bool = True
    says: str = ""  # of the wanted grant
    unsays: str = ""


class Row(NamedTuple):
    """One row of the mechanism. `:c` is the contract, `:a` and `:b` its logins."""

    name: str
    change: str
    pppoe: Expected | None
    hotspot: Expected | None
    branch: int = 1
    plan: int = 1
    before: str = ""
    other: bool = True  # its second login is concerned, too


def gone(cause: str) -> Expected:
    return Expected("disconnect", cause, is_gone=True, cuts=True)


def both(expected: Expected | None) -> dict[str, Expected | None]:
    return {"pppoe": expected, "hotspot": expected}


STATUS = "UPDATE erp.contract SET access_status = '{}' WHERE id = :c"
BLOCKED = "UPDATE erp.contract SET access_status = 'CA' WHERE id = :c"
ON_LIST = Expected("change", "block", cuts=True, is_certain=False, says="BLOQUEADO")
OFF_LIST = Expected("change", "unblock", is_certain=False, says="25M/50M", unsays="BLOQUEADO")
RATE = {"says": "50M/100M"}
ROWS = [
    Row("blocked by hand, refused", STATUS.format("CM"), **both(gone("block"))),
    Row("blocked by the agenda, refused", STATUS.format("CA"), **both(gone("block"))),
    Row("blocked, on a list", STATUS.format("CM"), **both(ON_LIST), branch=2),
    Row(
        "blocked, IPv6 by a list that only the API writes",
        BLOCKED,
        **both(ON_LIST._replace(says="BLOQUEADO6")),
        branch=2,
    ),
    Row(
        "blocked, into a pool",
        BLOCKED,
        Expected("disconnect", "block", cuts=True, says="presos"),
        Expected("change", "block", cuts=True, says="64k"),
        branch=3,
    ),
    Row("unblocked, off a list", STATUS.format("A"), **both(OFF_LIST), branch=2, before=BLOCKED),
    Row(
        "unblocked, out of a pool: R4.5",
        STATUS.format("A"),
        Expected("disconnect", "unblock", unsays=""),
        Expected("change", "unblock", says="25M/50M"),
        branch=3,
        before=BLOCKED,
    ),
    Row(
        "notice",
        STATUS.format("FA"),
        **both(Expected("change", "notice", is_certain=False, says="AVISO")),
        branch=2,
    ),
    Row("notice without a list", STATUS.format("FA"), **both(None)),
    Row(
        "end of notice",
        STATUS.format("A"),
        **both(Expected("change", "unblock", is_certain=False, unsays="AVISO")),
        branch=2,
        before=STATUS.format("FA"),
    ),
    Row("awaiting signature", STATUS.format("AA"), **both(gone("block"))),
    Row("disabled", STATUS.format("D"), **both(gone("cancel"))),
    Row(
        "cancelled", "UPDATE erp.contract SET status = 'D', access_status = 'D' WHERE id = :c", **both(gone("cancel"))
    ),
    Row("suspended", "UPDATE erp.contract SET suspended = true WHERE id = :c", **both(gone("suspension"))),
    Row("client inactive", "UPDATE erp.client SET active = false WHERE id = :c", **both(gone("client_inactive"))),
    Row("plan", "UPDATE erp.contract SET plan_id = 2 WHERE id = :c", **both(Expected("change", "plan", **RATE))),
    Row(
        "speed of one login",
        "UPDATE erp.login SET upload = '50M', download = '100M' WHERE id = :a",
        **both(Expected("change", "speed", **RATE)),
        other=False,
    ),
    Row(
        "cap",
        "UPDATE erp.login SET cap_reached = true WHERE id = :a",
        **both(Expected("change", "cap", says="1M/2M")),
        plan=5,
        other=False,
    ),
    Row(
        "cap free again",
        "UPDATE erp.login SET cap_reached = false WHERE id = :a",
        **both(Expected("change", "speed", says="25M/50M")),
        plan=5,
        other=False,
        before="UPDATE erp.login SET cap_reached = true WHERE id = :a",
    ),
    Row(
        "late: a title becomes overdue",
        "INSERT INTO erp.receivable (client_id, contract_id, amount, open_amount, due_on) "
        "VALUES (:c, :c, 100, 100, current_date - 10)",
        **both(Expected("change", "late", says="1M/2M")),
        plan=4,
    ),
    Row(
        "late no more: it is paid",
        "UPDATE erp.receivable SET status = 'R', paid_on = current_date, open_amount = 0 WHERE contract_id = :c",
        **both(Expected("change", "speed", says="25M/50M")),
        plan=4,
        before="INSERT INTO erp.receivable (client_id, contract_id, amount, open_amount, due_on) "
        "VALUES (:c, :c, 100, 100, current_date - 10)",
    ),
    Row(
        "trust unlock",
        "UPDATE erp.contract SET access_status = 'A', trust_unlock_active = true, "
        "trust_unlock_until = now() + interval '1 day' WHERE id = :c",
        **both(OFF_LIST),
        branch=2,
        before=BLOCKED,
    ),
    Row(
        "trust unlock ended",
        "UPDATE erp.contract SET trust_unlock_until = now() - interval '1 h' WHERE id = :c",
        **both(gone("trust_end")),
        before="UPDATE erp.contract SET trust_unlock_active = true, trust_unlock_until = now() + interval '1 day' "
        "WHERE id = :c",
    ),
    Row(
        "prepaid ended",
        "UPDATE erp.contract SET paid_until = current_date - 3 WHERE id = :c",
        **both(gone("prepaid_end")),
        before="UPDATE erp.contract SET billing_type_id = 1, paid_until = current_date + 3 WHERE id = :c",
    ),
    Row(
        "bound to another device",
        "UPDATE erp.login SET mac = '02:00:00:00:00:99', bind_mac = 'S' WHERE id = :a",
        **both(gone("mac")),
        other=False,
    ),
    Row(
        "MAC cleared",
        "UPDATE erp.login SET mac = NULL WHERE id = :a",
        **both(None),
        other=False,
        before="UPDATE erp.login SET mac = '02:00:00:00:00:01', bind_mac = 'S' WHERE id = :a",
    ),
    Row(
        "login inactive",
        "UPDATE erp.login SET active = false WHERE id = :a",
        **both(gone("login_changed")),
        other=False,
    ),
    Row(
        "login deleted",
        "UPDATE erp.login SET deleted_at = now() WHERE id = :a",
        **both(gone("login_deleted")),
        other=False,
    ),
    Row("another password", "UPDATE erp.login SET password = 'other-pass' WHERE id = :a", **both(None), other=False),
    Row(
        "another pool",
        "UPDATE erp.login SET ipv4_pool = 'outro' WHERE id = :a",
        Expected("disconnect", "login_changed", cuts=True, says="outro"),
        None,
        other=False,
    ),
    Row(
        "another pool of IPv6",
        "UPDATE erp.contract SET delegated_ipv6_pool = 'outro6' WHERE id = :c",
        Expected("disconnect", "login_changed", cuts=True, says="outro6"),
        None,
    ),
    Row(
        "a fixed address",
        "UPDATE erp.login SET ipv4 = '192.0.2.77' WHERE id = :a",
        Expected("disconnect", "login_changed", cuts=True, says="192.0.2.77"),
        None,
        other=False,
    ),
    Row(
        "name servers hold from the next dial on",
        "UPDATE erp.login SET dns = '{192.0.2.53}' WHERE id = :a",
        **both(None),
        other=False,
    ),
]


def sql(text: str, contract: int) -> str:
    return text.replace(":c", str(contract)).replace(":a", str(contract)).replace(":b", str(contract + 1000))


async def add_contract(db: asyncpg.Connection, contract: int, row: Row) -> None:
    await db.execute(
        "INSERT INTO erp.client (id, branch_id, kind, name) VALUES ($1::integer, $2, 'E', 'Client ' || $1)",
        contract, row.branch,
    )  # fmt: skip
    await db.execute(
        "INSERT INTO erp.contract (id, client_id, branch_id, plan_id, status) VALUES ($1::integer, $1, $2, $3, 'A')",
        contract, row.branch, row.plan,
    )  # fmt: skip
    for login in (contract, contract + 1000):
        await db.execute(
            "INSERT INTO erp.login (id, contract_id, name, password) "
            "VALUES ($1::integer, $2, 'user' || lpad($1::text, 6, '0'), 'a-password')",
            login, contract,
        )  # fmt: skip
    if row.before:
        await db.execute(sql(row.before, contract))


def check(row: Row, what: str, order: asyncpg.Record | None, expected: Expected | None) -> list[str]:
    name = f"{row.name}, {what}"
    if expected is None or order is None:
        return [] if expected is None and order is None else [f"{name}: {order and dict(order)}"]
    found = {
        "kind": (order["kind"], expected.kind),
        "cause": (order["cause"], expected.cause),
        "gone": (order["wanted_fingerprint"] is None, expected.is_gone),
        "cuts": (order["is_cutting"], expected.cuts),
        "certain": (order["is_certain"], expected.is_certain),
        "state": (order["state"], "todo"),
        "needs": (order["needs"] is not None, True),
        "says": (expected.says in (order["wanted"] or ""), True),
        "unsays": (expected.unsays in (order["unsaid"] or ""), True),
    }
    return [f"{name}: {part} is {is_}, not {shall}" for part, (is_, shall) in found.items() if is_ != shall]


async def test_each_row_of_the_mechanism(dsn: str, tmp_path: Path) -> None:
    async with order_house(dsn, tmp_path, SEED) as house:
        for contract, row in enumerate(ROWS, 1):
            await add_contract(house.db, contract, row)
        await house.applied()
        sessions = {}
        for contract, row in enumerate(ROWS, 1):
            for login in (contract, contract + 1000):
                for service in (PPPOE, HOTSPOT):
                    mac = "02:00:00:00:00:01"
                    family = await house.session(login, service, contract_id=contract, plan_id=row.plan, mac=mac)
                    sessions[login, service] = family
        async with house.reconciling():
            await house.known()
            await house.has({"lists": LISTED_SESSIONS}, "kind")
            await house.db.execute(LISTS_ARE_WRITTEN)
            for contract, row in enumerate(ROWS, 1):
                await house.db.execute(sql(row.change, contract))
            await house.idle()
        wrong = []
        for contract, row in enumerate(ROWS, 1):
            for login in (contract, contract + 1000):
                for service, expected in ((PPPOE, row.pppoe), (HOTSPOT, row.hotspot)):
                    wanted = expected if row.other or login == contract else None
                    order = await house.order(sessions[login, service])
                    wrong += check(row, f"login {login} {service}", order, wanted)
        assert not wrong, "\n".join(wrong)
