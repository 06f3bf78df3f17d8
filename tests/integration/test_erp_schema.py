"""Schema erp: each constraint by its name, and what keeps clients, contracts and logins consistent."""

import asyncio
from datetime import UTC, date, datetime

import pytest
from address_rules import ADDRESS_REFUSED, ADDRESS_TABLES, POOL_OF_SCHEMA
from agenda_rules import AGENDA_REFUSED, AGENDA_TABLES
from evidence_rules import CGNAT_MAP, EVIDENCE, EVIDENCE_REFUSED, EVIDENCE_TABLES, INQUIRY, LOGIN_CONTEST
from line_rules import LINE_REFUSED, LINE_TABLES
from network_rules import NETWORK_REFUSED, NETWORK_TABLES
from order_rules import ORDER_REFUSED, ORDER_TABLES
from session_rules import SESSION_REFUSED, SESSION_TABLES

from aaad.db.connection import Database
from aaad.errors import StoreError

PROVIDER = """
INSERT INTO erp.branch (name) VALUES ('Matriz'), ('Filial');
INSERT INTO erp.plan (name, upload, download) VALUES ('Fibra 100', '50M', '100M'), ('Fibra 200', '100M', '200M');
INSERT INTO erp.client (branch_id, kind, name, document) VALUES (1, 'F', 'Ana', '52998224725');
INSERT INTO erp.contract (client_id, branch_id, plan_id, status) VALUES (1, 1, 1, 'A'), (1, 2, 2, 'A');
"""


@pytest.fixture
async def database(dsn):
    database = Database(dsn, connect_timeout_s=5, statement_timeout_s=60, application_name="test")
    await database.execute(PROVIDER + POOL_OF_SCHEMA)
    yield database
    await database.close()


async def refusal(database: Database, sql: str, *args: object) -> StoreError:
    with pytest.raises(StoreError) as caught:
        await database.execute(sql, *args)
    return caught.value


async def insert(database: Database, table: str, defaults: dict[str, object], **values: object) -> None:
    row = defaults | values
    columns = ", ".join(row)
    places = ", ".join(f"${place}" for place in range(1, len(row) + 1))
    # Overriding: an id that only PostgreSQL gives is tried, too.
    await database.execute(
        f"INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE VALUES ({places})", *row.values()
    )


BRANCH = {"name": "Norte"}
CLIENT = {"branch_id": 1, "kind": "F", "name": "Bia"}
PLAN = {"name": "P", "upload": "1M", "download": "1M"}
CONTRACT = {"client_id": 1, "branch_id": 1}
LOGIN = {"contract_id": 1, "name": "bia", "password": "secret"}
NAS = {"name": "bras-1", "address": "192.0.2.1/32", "secret": "testing123"}
ROUTER = {"nas_id": 1, "source_address": "192.0.2.1"}
NAS_SECRET = {"nas_id": 1, "secret": "another"}
PARAMETER = {"name": "document_required", "value": "S"}
HISTORY = {"kind": "note", "text": "called"}
BILLING_TYPE = {"name": "Pré 5 dias", "payment": "Pre"}
RECEIVABLE = {"client_id": 1, "contract_id": 1, "amount": 100, "due_on": date(2026, 7, 10)}
CONTACT = {"client_id": 1, "name": "Mãe", "phone": "4933221100"}
LENT_EQUIPMENT = {"contract_id": 1, "kind": "ONU", "lent_on": date(2026, 1, 1)}
ADDRESS = {"client_id": 1, "kind": "billing", "street": "Rua A", "city": "Chapecó", "state": "SC"}
OPERATOR = {"name": "maria"}
OPERATOR_GROUP = {"name": "Suporte"}
PERMISSION = {"id": 41, "name": "Outra"}
NEVER = date(2100, 1, 1)

REFUSED = [
    ("erp.branch", BRANCH, {"name": " Norte"}, "branch_name_no_outer_space"),
    ("erp.branch", BRANCH, {"name": ""}, "branch_name_no_outer_space"),
    *(
        ("erp.branch", BRANCH, {"time_zone": zone}, "branch_time_zone_known")
        for zone in (
            *("America/Nowhere", "America/Nowhere3", "america/sao_paulo", "posix/America/Sao_Paulo", "<-03>3"),
            *("-03:00", "BRT", "localtime", "Factory", ""),
        )
    ),
    ("erp.branch", BRANCH, {"name": "x" * 129}, "branch_name_length"),
    ("erp.plan", PLAN, {"name": "x" * 129}, "plan_name_length"),
    ("net.nas", NAS, {"name": "x" * 129}, "nas_name_length"),
    ("erp.client", CLIENT, {"kind": "X"}, "client_kind_known"),
    ("erp.client", CLIENT, {"name": "Bia "}, "client_name_no_outer_space"),
    ("erp.client", CLIENT, {"name": "Bia\u00a0"}, "client_name_no_outer_space"),
    ("erp.client", CLIENT, {"document": "52998224726"}, "client_document_check_digits"),
    ("erp.client", CLIENT, {"document": "529.982.247-25"}, "client_document_check_digits"),
    ("erp.client", CLIENT, {"document": "11222333000181"}, "client_document_check_digits"),
    ("erp.client", CLIENT, {"kind": "J", "document": "52998224725"}, "client_document_check_digits"),
    ("erp.client", CLIENT, {"kind": "J", "document": "12abc34501de35"}, "client_document_check_digits"),
    ("erp.client", CLIENT, {"kind": "E", "document": "52998224725"}, "client_document_check_digits"),
    ("erp.client", CLIENT, {"email": "a@b.co; c@d.co"}, "client_email_list"),
    ("erp.client", CLIENT, {"phone": "(49) 3322-1100"}, "client_phone_brazilian"),
    ("erp.client", CLIENT, {"mobile_phone": "2099999999"}, "client_mobile_phone_brazilian"),
    ("erp.client", CLIENT, {"postal_code": "00000000"}, "client_postal_code_eight_digits"),
    ("erp.client", CLIENT, {"street": " Rua"}, "client_street_no_outer_space"),
    ("erp.client", CLIENT, {"street_number": "1 "}, "client_street_number_no_outer_space"),
    ("erp.client", CLIENT, {"complement": "\tA"}, "client_complement_no_outer_space"),
    ("erp.client", CLIENT, {"district": "Centro\n"}, "client_district_no_outer_space"),
    ("erp.client", CLIENT, {"city": " "}, "client_city_no_outer_space"),
    ("erp.client", CLIENT, {"state": "XX"}, "client_state_known"),
    ("erp.client", CLIENT, {"branch_id": 99}, "client_branch_id_fkey"),
    ("erp.plan", PLAN, {"name": ""}, "plan_name_no_outer_space"),
    ("erp.plan", PLAN, {"upload": "1m"}, "plan_upload_form"),
    ("erp.plan", PLAN, {"download": "100"}, "plan_download_form"),
    ("erp.plan", PLAN, {"session_timeout_s": -1}, "plan_session_timeout_range"),
    ("erp.plan", PLAN, {"idle_timeout_s": -1}, "plan_idle_timeout_range"),
    ("erp.plan", PLAN, {"interim_interval_s": 59}, "plan_interim_interval_range"),
    ("erp.contract", CONTRACT, {"kind": "X"}, "contract_kind_known"),
    ("erp.contract", CONTRACT, {"status": "X"}, "contract_status_known"),
    ("erp.contract", CONTRACT, {"access_status": "X"}, "contract_access_status_known"),
    ("erp.contract", CONTRACT, {"circuit": " C"}, "contract_circuit_no_outer_space"),
    ("erp.contract", CONTRACT, {"client_id": 99}, "contract_client_id_fkey"),
    ("erp.contract", CONTRACT, {"plan_id": 99}, "contract_plan_id_fkey"),
    ("erp.login", LOGIN, {"name": "a b"}, "login_name_form"),
    ("erp.login", LOGIN, {"name": "a@b@c"}, "login_name_form"),
    ("erp.login", LOGIN, {"password": " x"}, "login_password_form"),
    ("erp.login", LOGIN, {"password": "ç"}, "login_password_form"),
    ("erp.login", LOGIN, {"password_md5": True}, "login_password_form"),
    ("erp.login", LOGIN, {"password": None}, "login_password_required"),
    ("erp.login", LOGIN, {"authentication": "X"}, "login_authentication_known"),
    ("erp.login", LOGIN, {"connection_type": "5.8"}, "login_connection_type_known"),
    ("erp.login", LOGIN, {"ipv4": "10.0.0.0/24"}, "login_ipv4_host"),
    ("erp.login", LOGIN, {"ipv4": "127.0.0.1"}, "login_ipv4_host"),
    ("erp.login", LOGIN, {"ipv4": "2001:db8::1"}, "login_ipv4_host"),
    ("erp.login", LOGIN, {"mac": "G0:1A:2B:3C:4D:5E"}, "login_mac_canonical"),
    ("erp.login", LOGIN, {"mac": "01:1A:2B:3C:4D:5E"}, "login_mac_canonical"),
    ("erp.login", LOGIN, {"mac": "00:00:00:00:00:00"}, "login_mac_canonical"),
    ("erp.login", LOGIN, {"mac": ""}, "login_mac_canonical"),
    ("erp.login", LOGIN, {"contract_id": 99}, "login_contract_is_internet"),
    ("erp.login", LOGIN, {"plan_id": 2}, "login_plan_is_contracts_plan"),
    ("erp.parameter", PARAMETER, {"name": "Document"}, {"parameter_name_form", "parameter_name_known"}),
    ("erp.parameter", PARAMETER, {"name": "hello"}, "parameter_name_known"),
    ("erp.parameter", PARAMETER, {"name": "trust_unlock_days", "value": "31"}, "parameter_value_form"),
    ("erp.parameter", PARAMETER, {"name": "history_days", "value": "364", "branch_id": None}, "parameter_value_form"),
    ("erp.parameter", PARAMETER, {"name": "history_days", "value": "400", "branch_id": 1}, "parameter_general_only"),
    ("erp.parameter", PARAMETER, {"value": "yes"}, "parameter_value_yes_no_default"),
    ("erp.parameter", PARAMETER, {"value": "P"}, "parameter_value_yes_no_default"),
    (
        "erp.parameter", PARAMETER, {"name": "blocked_group", "value": " x"},
        {"parameter_value_form", "parameter_value_no_outer_space"},
    ),
    ("erp.contract", CONTRACT, {"reference": " x"}, "contract_reference_no_outer_space"),
    ("erp.contract", CONTRACT, {"suspended_from": NEVER}, "contract_suspended_from_range"),
    ("erp.contract", CONTRACT, {"suspended_until": NEVER}, "contract_suspended_until_range"),
    ("erp.contract", CONTRACT, {"block_automatically": "P"}, "contract_block_automatically_known"),
    ("erp.contract", CONTRACT, {"notice_automatically": "X"}, "contract_notice_automatically_known"),
    ("erp.contract", CONTRACT, {"trust_unlock": "X"}, "contract_trust_unlock_known"),
    ("erp.contract", CONTRACT, {"trust_unlock_active": True}, "contract_trust_unlock_with_until"),
    (
        "erp.contract", CONTRACT, {"trust_unlock_until": datetime(2106, 3, 1, tzinfo=UTC)},
        "contract_trust_unlock_until_range",
    ),
    (
        "erp.contract", CONTRACT, {"trust_unlock_restriction_reason": ""},
        "contract_trust_unlock_restriction_reason_no_outer_space",
    ),
    ("erp.contract", CONTRACT, {"force_access": "X"}, "contract_force_access_known"),
    ("erp.contract", CONTRACT, {"late_speed": "H"}, "contract_late_speed_known"),
    ("erp.contract", CONTRACT, {"not_reduced_until": date(1970, 1, 1)}, "contract_not_reduced_until_range"),
    ("erp.contract", CONTRACT, {"speed_status": "X"}, "contract_speed_status_known"),
    ("erp.contract", CONTRACT, {"paid_until": NEVER}, "contract_paid_until_range"),
    ("erp.contract", CONTRACT, {"due_day": 32}, "contract_due_day_range"),
    ("erp.contract", CONTRACT, {"logins_max": 0}, "contract_logins_max_range"),
    ("erp.contract", CONTRACT, {"simultaneous_max": 0}, "contract_simultaneous_max_range"),
    ("erp.contract", CONTRACT, {"inclusion_reason": "X"}, "contract_inclusion_reason_known"),
    ("erp.contract", CONTRACT, {"cancellation_reason": "x "}, "contract_cancellation_reason_no_outer_space"),
    ("erp.contract", CONTRACT, {"billing_type_id": 99}, "contract_billing_type_id_fkey"),
    ("erp.billing_type", BILLING_TYPE, {"name": ""}, "billing_type_name_no_outer_space"),
    ("erp.billing_type", BILLING_TYPE, {"payment": "Pós"}, "billing_type_payment_known"),
    ("erp.billing_type", BILLING_TYPE, {"notice_days": -1}, "billing_type_notice_days_range"),
    ("erp.billing_type", BILLING_TYPE, {"block_days": 366}, "billing_type_block_days_range"),
    (
        "erp.billing_type", BILLING_TYPE, {"block_renegotiated_days": -1},
        "billing_type_block_renegotiated_days_range",
    ),
    ("erp.billing_type", BILLING_TYPE, {"prepaid_grace_days": -1}, "billing_type_prepaid_grace_days_range"),
    ("erp.receivable", RECEIVABLE, {"kind": "x"}, "receivable_kind_known"),
    ("erp.receivable", RECEIVABLE, {"contract_id": None}, "receivable_recurring_has_contract"),
    ("erp.receivable", RECEIVABLE, {"amount": -1}, "receivable_amount_range"),
    ("erp.receivable", RECEIVABLE, {"open_amount": -1}, "receivable_open_amount_range"),
    ("erp.receivable", RECEIVABLE, {"due_on": NEVER}, "receivable_due_on_range"),
    ("erp.receivable", RECEIVABLE, {"status": "X"}, "receivable_status_known"),
    ("erp.receivable", RECEIVABLE, {"status": "R"}, "receivable_received_has_paid_on"),
    ("erp.contact", CONTACT, {"name": " Mãe"}, "contact_name_no_outer_space"),
    ("erp.contact", CONTACT, {"role": ""}, "contact_role_no_outer_space"),
    ("erp.contact", CONTACT, {"phone": "33221100"}, "contact_phone_brazilian"),
    ("erp.contact", CONTACT, {"mobile_phone": "33221100"}, "contact_mobile_phone_brazilian"),
    ("erp.contact", CONTACT, {"email": "a@b.co;"}, "contact_email_list"),
    ("erp.contact", CONTACT, {"phone": None}, "contact_reachable"),
    ("erp.lent_equipment", LENT_EQUIPMENT, {"kind": " ONU"}, "lent_equipment_kind_no_outer_space"),
    ("erp.lent_equipment", LENT_EQUIPMENT, {"identifier": ""}, "lent_equipment_identifier_no_outer_space"),
    ("erp.lent_equipment", LENT_EQUIPMENT, {"lent_on": date(2100, 1, 1)}, "lent_equipment_lent_on_range"),
    ("erp.lent_equipment", LENT_EQUIPMENT, {"returned_on": date(2020, 1, 1)}, "lent_equipment_returned_on_range"),
    ("erp.address", ADDRESS, {"contract_id": 1}, "address_of_client_or_contract"),
    ("erp.address", ADDRESS, {"kind": "home"}, "address_kind_known"),
    ("erp.address", ADDRESS, {"postal_code": "89801-000"}, "address_postal_code_eight_digits"),
    ("erp.address", ADDRESS, {"street": ""}, "address_street_no_outer_space"),
    ("erp.address", ADDRESS, {"street_number": " 1"}, "address_street_number_no_outer_space"),
    ("erp.address", ADDRESS, {"complement": " "}, "address_complement_no_outer_space"),
    ("erp.address", ADDRESS, {"district": "x "}, "address_district_no_outer_space"),
    ("erp.address", ADDRESS, {"city": ""}, "address_city_no_outer_space"),
    ("erp.address", ADDRESS, {"state": "XX"}, "address_state_known"),
    ("erp.operator", OPERATOR, {"name": " maria"}, "operator_name_no_outer_space"),
    ("erp.operator", OPERATOR, {"full_name": ""}, "operator_full_name_no_outer_space"),
    ("erp.operator_group", OPERATOR_GROUP, {"name": ""}, "operator_group_name_no_outer_space"),
    ("erp.permission", PERMISSION, {"name": " x"}, "permission_name_no_outer_space"),
    ("erp.permission", PERMISSION, {"name": "Mudar Plano"}, "permission_name_unique"),
    ("erp.history", HISTORY, {"kind": "A note"}, "history_kind_form"),
    ("erp.history", HISTORY, {"text": " x"}, "history_text_no_outer_space"),
    ("erp.history", HISTORY, {"source": "robot"}, "history_source_known"),
    ("net.nas", NAS, {"name": ""}, "nas_name_no_outer_space"),
    ("net.nas", NAS, {"secret": ""}, "nas_secret_form"),
    ("net.nas", NAS, {"secret": "testing123\n"}, "nas_secret_form"),
    ("net.nas", NAS, {"secret_previous": ""}, "nas_secret_previous_form"),
    ("net.nas", NAS, {"secret_previous": "old"}, "nas_secret_previous_with_until"),
    ("net.nas", NAS, {"secret_previous_until": datetime.now(UTC)}, "nas_secret_previous_with_until"),
    *NETWORK_REFUSED,
    *SESSION_REFUSED,
    *EVIDENCE_REFUSED,
    *ADDRESS_REFUSED,
    *AGENDA_REFUSED,
    ("net.nas", NAS, {"message_authenticator": "maybe"}, "nas_message_authenticator_known"),
    ("net.nas", NAS, {"timeout_ms": 0}, "nas_timeout_range"),
    ("net.nas", NAS, {"tries": 0}, "nas_tries_range"),
    ("net.nas", NAS, {"address_space": 0}, "nas_address_space_range"),
    ("net.nas", NAS, {"coa_port": 0}, "nas_coa_port_range"),
    ("net.nas", NAS, {"api_port": 65536}, "nas_api_port_range"),
    ("net.nas", NAS, {"api_fingerprint": "AB"}, "nas_api_fingerprint_form"),
    ("net.nas", NAS, {"api_ca": "no certificate"}, "nas_api_ca_form"),
    ("net.nas", NAS, {"api_user": " "}, "nas_api_user_form"),
    ("net.nas", NAS, {"api_password": ""}, "nas_api_password_form"),
    ("net.nas_secret", NAS_SECRET, {"secret": ""}, "nas_secret_secret_form"),
    ("net.nas_secret", NAS_SECRET, {"secret": "another "}, "nas_secret_secret_form"),
    ("net.nas_secret", NAS_SECRET, {"note": " "}, "nas_secret_note_no_outer_space"),
    ("net.router", ROUTER, {"secret_fingerprint": b"short"}, "router_secret_fingerprint_size"),
    *LINE_REFUSED,
    *ORDER_REFUSED,
    # An id is packed unsigned in 31 bits, and 0 stands for "none".
    *(
        (table, defaults, {"id": number}, f"{table.split('.')[1]}_id_range")
        for table, defaults in {
            "erp.branch": BRANCH, "erp.client": CLIENT, "erp.plan": PLAN, "erp.contract": CONTRACT,
            "erp.login": LOGIN, "net.nas": NAS, "erp.parameter": PARAMETER, "erp.history": HISTORY,
            "net.nas_secret": NAS_SECRET,
            "erp.billing_type": BILLING_TYPE, "erp.receivable": RECEIVABLE, "erp.contact": CONTACT,
            "erp.address": ADDRESS, "erp.lent_equipment": LENT_EQUIPMENT,
            "erp.operator": OPERATOR, "erp.operator_group": OPERATOR_GROUP,
            "erp.permission": PERMISSION, **NETWORK_TABLES, **SESSION_TABLES, **EVIDENCE_TABLES,
            **ADDRESS_TABLES, **LINE_TABLES, **AGENDA_TABLES, **ORDER_TABLES,
            "net.node": {"name": "n1"}, "net.setting": {"key": "x", "value": b"x"}, "net.run": {"kind": "x"},
            "net.router": ROUTER, "net.question": {"kind": "x"},
            "net.hold": {"kind": "block", "cut_off_count": 1, "logins_count": 1},
            "net.spool_deferred": {"node": "n1", "record": b"x"},
            "net.change": {"kind": "login", "key": 1},
        }.items()
        for number in (0, -1)
    ),
]  # fmt: skip


async def test_every_rule_refuses_by_its_name(database: Database):
    """One database for all: a refused row leaves nothing behind."""
    for table, defaults, values, constraint in REFUSED:
        with pytest.raises(StoreError) as caught:
            await insert(database, table, defaults, **values)
        allowed = {constraint} if isinstance(constraint, str) else constraint
        assert caught.value.constraint in allowed, (values, str(caught.value))


async def test_every_check_of_the_schema_is_tried_here(database: Database):
    rows = await database.fetch(
        "SELECT conname FROM pg_constraint WHERE contype = 'c' "
        "AND conname NOT IN ('change_horizon_single_check', 'single_receivables_change_is_one', "
        "'order_reconciler_single_check') "
        "AND connamespace IN ('erp'::regnamespace, 'net'::regnamespace)"
    )
    elsewhere = {"contract_suspended_in_order", "hold_state_known", "line_state_known", "line_set_state_known"}
    tried = {name for *_, names in REFUSED for name in ([names] if isinstance(names, str) else names)}
    assert {row["conname"] for row in rows} - tried == elsewhere


async def test_every_id_has_its_range(database: Database):
    rows = await database.fetch(
        "SELECT attrelid::regclass::text AS name FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid "
        "WHERE attname = 'id' AND relkind = 'r' AND relnamespace IN ('erp'::regnamespace, 'net'::regnamespace)"
    )
    tried = {table for table, _, values, _ in REFUSED if "id" in values}
    assert {row["name"] for row in rows} == tried
    error = await refusal(database, "UPDATE erp.plan SET id = 2147483648 WHERE id = 1")
    assert error.sqlstate == "22003"  # the type's own end


async def test_the_defaults_of_these_tests_are_accepted(database: Database):
    for table, defaults in {"erp.branch": BRANCH, "erp.client": CLIENT, "erp.plan": PLAN, "erp.contract": CONTRACT,
                            "erp.login": LOGIN, "net.nas": NAS, "erp.parameter": PARAMETER, "erp.history": HISTORY,
                            "erp.billing_type": BILLING_TYPE, "erp.receivable": RECEIVABLE, "erp.contact": CONTACT,
                            "erp.address": ADDRESS, "erp.lent_equipment": LENT_EQUIPMENT,
                            "erp.operator": OPERATOR, "erp.operator_group": OPERATOR_GROUP,
                            "erp.permission": PERMISSION, "net.cgnat_map": CGNAT_MAP, "net.evidence": EVIDENCE,
                            "net.inquiry": INQUIRY, "net.login_contest": LOGIN_CONTEST,
                            **ADDRESS_TABLES, **AGENDA_TABLES}.items():  # fmt: skip
        if table == "erp.parameter":
            await database.execute("UPDATE erp.client SET document = '52998224725' WHERE document IS NULL")
        await insert(database, table, defaults)
        is_kept = table != "net.payment"  # which is followed at once, and gone
        assert bool(await database.fetch(f"SELECT 1 FROM {table}")) == is_kept, table


async def test_a_suspension_ends_after_it_began(database: Database):
    error = await refusal(
        database, "UPDATE erp.contract SET suspended_from = '2026-02-02', suspended_until = '2026-02-01' WHERE id = 1"
    )
    assert error.constraint == "contract_suspended_in_order"
    await database.execute("UPDATE erp.contract SET suspended_from = '2026-02-02', suspended_until = '2026-02-02'")


async def test_a_name_is_unique_in_any_case_and_composition_and_also_after_deletion(database: Database):
    await insert(database, "erp.login", LOGIN, name="João@X")
    for name in ("joão@x", "JOÃO@X", "joa\u0303o@X"):
        with pytest.raises(StoreError) as caught:
            await insert(database, "erp.login", LOGIN, name=name)
        assert (caught.value.sqlstate, caught.value.constraint) == ("23505", "login_name_unique")
    await database.execute("UPDATE erp.login SET deleted_at = now()")
    with pytest.raises(StoreError) as caught:
        await insert(database, "erp.login", LOGIN, name="joão@x")
    assert caught.value.constraint == "login_name_unique"


async def test_a_fixed_address_is_free_again_after_deletion(database: Database):
    await insert(database, "erp.login", LOGIN, name="one", ipv4="100.64.0.1")
    with pytest.raises(StoreError) as caught:
        await insert(database, "erp.login", LOGIN, name="two", ipv4="100.64.0.1")
    assert (str(caught.value), caught.value.constraint) == (
        "100.64.0.1/32 is the fixed address of login one", "login_ipv4_unique"
    )  # fmt: skip
    await database.execute("UPDATE erp.login SET deleted_at = now()")
    await insert(database, "erp.login", LOGIN, name="two", ipv4="100.64.0.1")


async def test_a_mac_is_stored_as_routeros_writes_it_and_refused_in_known_words(database: Database):
    await insert(database, "erp.login", LOGIN, mac="001a.2b3c.4d5e")
    assert (await database.fetchrow("SELECT mac FROM erp.login"))["mac"] == "00:1A:2B:3C:4D:5E"
    await database.execute("UPDATE erp.login SET mac = '00-1a-2b-3c-4d-5f'")
    assert (await database.fetchrow("SELECT mac FROM erp.login"))["mac"] == "00:1A:2B:3C:4D:5F"
    error = await refusal(database, "UPDATE erp.login SET mac = 'G0:1A:2B:3C:4D:5E'")
    assert str(error).startswith("Formato do MAC é Inválido")
    assert error.sqlstate == "23514"
    await database.execute("UPDATE erp.login SET mac = NULL")


async def plans(database: Database) -> list:
    rows = await database.fetch(
        "SELECT login.plan_id AS own, source.plan_id AS resolved FROM erp.login JOIN net.login_source AS source "
        "ON source.login_id = login.id ORDER BY login.id"
    )
    return [(row["own"], row["resolved"]) for row in rows]


async def test_logins_follow_their_contracts_plan(database: Database):
    await insert(database, "erp.login", LOGIN, name="named", plan_id=1)
    await insert(database, "erp.login", LOGIN, name="unnamed")
    await insert(database, "erp.login", LOGIN, name="elsewhere", contract_id=2)
    await database.execute("UPDATE erp.contract SET plan_id = 2 WHERE id = 1")
    assert await plans(database) == [(2, 2), (None, 2), (None, 2)]
    assert (await refusal(database, "UPDATE erp.login SET plan_id = 1")).constraint == "login_plan_is_contracts_plan"
    await database.execute("UPDATE erp.contract SET plan_id = NULL WHERE id = 1")
    assert await plans(database) == [(None, None), (None, None), (None, 2)]


async def test_only_internet_contracts_have_logins(database: Database):
    await database.execute("UPDATE erp.contract SET kind = 'T' WHERE id = 2")
    with pytest.raises(StoreError) as caught:
        await insert(database, "erp.login", LOGIN, contract_id=2)
    assert caught.value.constraint == "login_contract_is_internet"
    await insert(database, "erp.login", LOGIN)
    error = await refusal(database, "UPDATE erp.contract SET kind = 'T' WHERE id = 1")
    assert error.constraint == "login_contract_is_internet"


async def test_what_is_in_use_cannot_be_deleted(database: Database):
    await insert(database, "erp.login", LOGIN)
    assert (await refusal(database, "DELETE FROM erp.plan WHERE id = 1")).constraint == "contract_plan_id_fkey"
    assert (await refusal(database, "DELETE FROM erp.contract WHERE id = 1")).sqlstate == "23503"
    assert (await refusal(database, "DELETE FROM erp.client")).constraint == "contract_client_id_fkey"


async def test_accents_are_refused_where_a_parameter_says_so(database: Database):
    await insert(database, "erp.parameter", {}, name="block_accents_in_logins", value="S")
    await insert(database, "erp.parameter", {}, name="block_accents_in_logins", value="N", branch_id=2)
    with pytest.raises(StoreError) as caught:
        await insert(database, "erp.login", LOGIN, name="joão")
    assert caught.value.constraint == "login_name_without_accents"
    await insert(database, "erp.login", LOGIN, name="joão", contract_id=2)
    await database.execute("UPDATE erp.parameter SET value = 'P' WHERE branch_id = 2")  # as the general value says
    error = await refusal(database, "UPDATE erp.login SET name = 'joões'")
    assert error.constraint == "login_name_without_accents"
    await database.execute("UPDATE erp.parameter SET value = 'N' WHERE branch_id IS NULL")
    await insert(database, "erp.login", LOGIN, name="maçã")


async def test_an_old_login_with_an_accent_can_still_be_edited(database: Database):
    await insert(database, "erp.login", LOGIN, name="joão")
    await insert(database, "erp.parameter", {}, name="block_accents_in_logins", value="S")
    await database.execute("UPDATE erp.login SET active = false, name = name")
    assert [row["active"] for row in await database.fetch("SELECT active FROM erp.login WHERE name = 'joão'")] == [
        False
    ]


async def test_documents_are_required_where_a_parameter_says_so(database: Database):
    await insert(database, "erp.parameter", {}, name="document_required", value="S", branch_id=1)
    with pytest.raises(StoreError) as caught:
        await insert(database, "erp.client", CLIENT)
    assert caught.value.constraint == "client_document_required"
    await insert(database, "erp.client", CLIENT, kind="E")
    await insert(database, "erp.client", CLIENT, branch_id=2)
    await insert(database, "erp.client", CLIENT, kind="J", document="12ABC34501DE35")


async def test_a_parameter_has_one_value_for_each_branch_and_one_general(database: Database):
    await insert(database, "erp.parameter", {}, name="ipv4_pool", value="1")
    await insert(database, "erp.parameter", {}, name="ipv4_pool", value="2", branch_id=1)
    for branch_id in (None, 1):
        with pytest.raises(StoreError) as caught:
            await insert(database, "erp.parameter", {}, name="ipv4_pool", value="3", branch_id=branch_id)
        assert caught.value.constraint == "parameter_unique"
    row = await database.fetchrow(
        "SELECT erp.parameter_value('ipv4_pool', 1), erp.parameter_value('ipv4_pool', 2), "
        "erp.parameter_value('ipv6_pool', 1)"
    )
    assert list(row) == ["2", "1", None]


async def test_at_most_one_hold_is_open(database: Database):
    hold = {"kind": "block", "cut_off_count": 60, "logins_count": 100}
    await insert(database, "net.hold", hold)
    with pytest.raises(StoreError) as caught:
        await insert(database, "net.hold", hold)
    assert caught.value.constraint == "hold_one_open"
    await database.execute("UPDATE net.hold SET state = 'accepted'")
    await insert(database, "net.hold", hold)
    assert (await refusal(database, "UPDATE net.hold SET state = 'lost' WHERE state = 'open'")).constraint == (
        "hold_state_known"
    )


async def test_the_login_source_holds_all_that_decides_and_its_digest_tells_every_difference(database: Database):
    await insert(database, "erp.login", LOGIN, ipv4="100.64.0.1")
    seen = set()
    changes = [
        "UPDATE erp.login SET name = 'bia2'", "UPDATE erp.login SET active = false",
        "UPDATE erp.login SET password = 'p'",
        "UPDATE erp.login SET ipv4 = NULL", "UPDATE erp.login SET mac = '00:1A:2B:3C:4D:5E'",
        "UPDATE erp.login SET auto_fill_mac = 'S'", "UPDATE erp.login SET deleted_at = now()",
        "UPDATE erp.login SET authentication = 'H'", "UPDATE erp.client SET active = false",
        "UPDATE erp.contract SET status = 'I' WHERE id = 1",
        "UPDATE erp.contract SET access_status = 'CA' WHERE id = 1",
        "UPDATE erp.contract SET suspended = true WHERE id = 1", "UPDATE erp.contract SET plan_id = 2 WHERE id = 1",
        "UPDATE erp.contract SET branch_id = 2 WHERE id = 1",
        "UPDATE erp.login SET password_md5 = true, password = repeat('0', 32)",
        "UPDATE erp.contract SET suspended_from = '2026-01-01', suspended_until = '2026-01-31' WHERE id = 1",
        "UPDATE erp.contract SET trust_unlock_active = true, trust_unlock_until = '2026-01-01 00:00Z' WHERE id = 1",
        "UPDATE erp.contract SET late_speed = 'N', not_reduced_until = '2026-02-01' WHERE id = 1",
        "UPDATE erp.contract SET speed_status = 'R' WHERE id = 1",
        "INSERT INTO erp.receivable (client_id, contract_id, amount, due_on) VALUES (1, 1, 9, '2026-03-10')",
        "UPDATE erp.login SET mac_login = true", "UPDATE erp.login SET bind_mac = 'S'",
        "UPDATE erp.login SET nas_id = 1", "UPDATE erp.login SET auto_fill_nas = 'N', bind_nas = 'N'",
        "UPDATE erp.login SET port_id = 'p', circuit_id = 'c'",
        "UPDATE erp.login SET auto_fill_port = 'N', bind_port = 'S'",
        "UPDATE erp.login SET auto_fill_circuit = 'S', bind_circuit = 'N'",
        "UPDATE erp.login SET access_hours = '{0,3}', cap_reached = true",
        "UPDATE erp.login SET upload = '1M', download = '2M'",
        "UPDATE erp.login SET ipv4_pool = 'a', ipv6_pool = 'b', delegated_ipv6_pool = 'd'",
        "UPDATE erp.login SET ipv6_prefix = '2001:db8::/64', delegated_ipv6_prefix = '2001:db8:1::/56'",
        "UPDATE erp.login SET routes = '{10.0.0.0/24}', address_list = 'l', address_list_ipv6 = 'm'",
        "UPDATE erp.login SET dns = '{2001:db8::1,192.0.2.1}'",
        "INSERT INTO erp.login_attribute (login_id, name, value) VALUES (1, 'Filter-Id', 'x')",
        "INSERT INTO erp.login_attribute (login_id, position, name, value) VALUES (1, -1, 'Filter-Id', 'y')",
        ("INSERT INTO net.login_contest (login_id, mac, nas_id, other_mac, replacements, until) "
         "VALUES (1, '02:00:00:00:00:0b', 1, '02:00:00:00:00:0a', 5, '2100-01-01 00:00Z')"),
        "UPDATE net.login_contest SET until = '2100-01-02 00:00Z'",
        "UPDATE net.login_contest SET mac = '02:00:00:00:00:0c'",
    ]  # fmt: skip
    await insert(database, "net.nas", NAS)
    for change in ["SELECT 1", *changes]:
        await database.execute(change)
        row = await database.fetchrow("SELECT * FROM net.login_source WHERE login_id = ANY($1)", [1])
        seen.add(row["digest"])
    assert len(seen) == len(changes) + 1
    assert dict(row.items()) | {"digest": 0} == {
        "login_id": 1, "name": "bia2", "contract_id": 1, "client_id": 1, "plan_id": 2, "branch_id": 2,
        "login_active": False, "deleted": True, "client_active": False, "contract_status": "I", "access_status": "CA",
        "suspended": True, "authentication": "H", "password": "0" * 32, "password_md5": True, "ipv4": None,
        "mac": "00:1A:2B:3C:4D:5E", "auto_fill_mac": "S", "bind_mac": "S", "mac_login": True, "nas_id": 1,
        "auto_fill_nas": "N", "bind_nas": "N", "port_id": "p", "auto_fill_port": "N", "bind_port": "S",
        "circuit_id": "c", "auto_fill_circuit": "S", "bind_circuit": "N", "hours": 0b1001, "cap_reached": True,
        "upload": "1M", "download": "2M", "ipv4_pool": "a", "ipv6_pool": "b", "delegated_ipv6_pool": "d",
        "ipv6_prefix": "2001:db8::/64", "delegated_ipv6_prefix": "2001:db8:1::/56", "routes": ["10.0.0.0/24"],
        "address_list": "l", "address_list_ipv6": "m", "dns": ["2001:db8::1/128", "192.0.2.1/32"],
        "attributes": b"\x0b\x03y\x0b\x03x",
        "suspended_from": date(2026, 1, 1), "suspended_until": date(2026, 1, 31),
        "oldest_open_due": date(2026, 3, 10),
        "not_reduced_until": date(2026, 2, 1), "access_ends_at": None, "late_speed": "N", "speed_status": "R",
        "trust_unlock_active": False, "trust_unlock_until": None,
        "contest_until": datetime(2100, 1, 2, tzinfo=UTC), "contest_mac": "02:00:00:00:00:0c", "digest": 0,
    }  # fmt: skip
    await database.execute("UPDATE erp.login SET connection_type = 'F', wpa2_passphrase = 'password'")  # for people
    assert (await database.fetchrow("SELECT digest FROM net.login_source"))["digest"] == row["digest"]


async def test_a_few_logins_among_many_are_read_through_indexes(database: Database):
    await load_logins(database, 5_000)
    await database.execute(
        "INSERT INTO erp.login_attribute (login_id, name, value) SELECT id, 'Filter-Id', 'x' FROM erp.login"
    )
    await database.execute(
        "INSERT INTO net.login_contest (login_id, mac, nas_id, other_mac, replacements, until) "
        "SELECT id, '02:00:00:00:00:0a', 1, '02:00:00:00:00:0b', 5, now() + interval '10m' FROM erp.login"
    )
    await database.execute("ANALYZE")
    for plan_cache_mode in ("force_generic_plan", "force_custom_plan"):
        await database.execute(f"SET plan_cache_mode = {plan_cache_mode}")
        rows = await database.fetch("EXPLAIN SELECT * FROM net.login_source WHERE login_id = ANY(ARRAY[1, 5, 77])")
        assert not [row[0] for row in rows if "Seq Scan" in row[0]]
    await database.execute("PREPARE few (int[]) AS SELECT * FROM net.login_source WHERE login_id = ANY($1)")
    await database.execute("SET plan_cache_mode = force_generic_plan")
    rows = await database.fetch("EXPLAIN EXECUTE few (ARRAY[1, 5, 77])")
    assert not [row[0] for row in rows if "Seq Scan" in row[0]]


async def test_a_load_and_a_block_of_many_rows_take_seconds_also_after_small_ones(database: Database):
    """A trigger whose plan was made for one row must not meet 20,000 with it."""
    for count in range(8):  # enough for PostgreSQL to settle on a kept plan
        await database.execute("UPDATE erp.contract SET access_status = $1 WHERE id = 1", "CA" if count % 2 else "A")
    async with asyncio.timeout(60):
        await load_logins(database, 20_000)
        await database.execute("UPDATE erp.contract SET access_status = 'CA'")
        await database.execute("UPDATE erp.login SET password = 'new'")
    row = await database.fetchrow("SELECT count(*) FROM erp.history")
    assert row["count"] > 40_000


async def load_logins(database: Database, count: int) -> None:
    await database.execute(
        "INSERT INTO erp.client (id, branch_id, kind, name) SELECT n, 1, 'E', 'Ana' FROM generate_series(3, $1) AS n",
        count,
    )
    await database.execute(
        "INSERT INTO erp.contract (client_id, branch_id, plan_id, status) SELECT n, 1, 1, 'A' "
        "FROM generate_series(3, $1::int) AS n", count
    )  # fmt: skip
    await database.execute(
        "INSERT INTO erp.login (contract_id, name, password, ipv4, mac) SELECT n, 'user' || n, 'pass' || n, "
        "'10.0.0.0'::inet + n, '0200' || lpad(to_hex(n), 8, '0') "
        "FROM generate_series(1, $1::int) AS n", count
    )  # fmt: skip
