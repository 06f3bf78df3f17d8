"""`aaad lease …`, `aaad login secondary`, fixed addresses' complaints and `aaad pool check` on a real PostgreSQL."""

from collections.abc import Iterator

import pytest
from test_pool_commands import CLEAN, LOGINS, House, make_house

from aaad.db.embedded import EmbeddedPostgres


@pytest.fixture(scope="module")
def database(postgres: EmbeddedPostgres, _template: str, tmp_path_factory: pytest.TempPathFactory) -> House:
    return make_house(postgres, _template, tmp_path_factory, "lease_commands")


@pytest.fixture
def aaad(database: House) -> Iterator[House]:
    database.execute(CLEAN + "DELETE FROM net.address_finding;" + LOGINS)
    yield database


# --- lists ----------------------------------------------------------------------------------------------------------


def test_what_the_ledger_knows_is_listed_by_pool_login_address_and_state(aaad: House) -> None:
    pool_id = aaad.pool("centro", "--range", "100.64.0.0/24")
    prefixes = aaad.pool("pd", "--family", "delegated", "--range", "2001:db8::/48")
    aaad.bound(pool_id, "100.64.0.9/32", 50)
    aaad.bound(prefixes, "2001:db8:0:100::/56", 50)
    aaad.released(pool_id, "100.64.0.8/32", 51)
    aaad.sql("UPDATE net.lease SET device = $1 WHERE address = '100.64.0.9'", 0x020000000005)

    def found(*words: str) -> list[str]:
        return [row["address"] for row in aaad.ok("lease", "list", *words)]

    assert found() == ["100.64.0.8/32", "100.64.0.9/32", "2001:db8:0:100::/56"]
    assert found("--pool", "pd") == ["2001:db8:0:100::/56"]
    assert found("--login", "padaria") == ["100.64.0.8/32"]
    assert found("--address", "100.64.0.9") == ["100.64.0.9/32"]
    assert found("--address", "100.64.0.0/24", "--state", "bound") == ["100.64.0.9/32"]
    assert found("--address", "2001:db8:0:1ff::1") == ["2001:db8:0:100::/56"]  # it lies in there
    assert found("--address", "2001:db8::/32") == ["2001:db8:0:100::/56"]
    assert found("--space", "2") == []
    lease = aaad.ok("lease", "list", "--address", "100.64.0.9")[0]
    assert (lease["mac"], lease["login"], lease["client"], lease["nas"], lease["pool"]) == (
        "02:00:00:00:00:05",
        "ana@fibra",
        "Ana Souza",
        "bng-centro",
        "centro",
    )
    rows = aaad("lease", "list", "--csv").rows
    assert [row["state"] for row in rows] == ["released", "bound", "bound"]
    shown = aaad("lease", "list", language="pt").output
    assert "em uso" in shown
    assert "More" not in aaad("lease", "list", "--limit", "3").complaint
    assert "more than 2" in aaad("lease", "list", "--limit", "2").complaint
    assert "--address" in aaad.told("lease", "list", "--address", "100.64.0", code=2)


def test_history_shows_who_has_an_address_and_who_had_it(aaad: House) -> None:
    pool_id = aaad.pool("centro", "--range", "100.64.0.0/24")
    aaad.bound(pool_id, "100.64.0.9/32", 50)
    ended = aaad.session("100.64.0.9", 51, "padaria", ended=True)
    now = aaad.session("100.64.0.9", 50, "ana@fibra")
    aaad.session("100.64.0.10", 50, "ana@fibra")
    found = aaad.ok("lease", "history", "100.64.0.9")
    assert [row["login"] for row in found["ledger"]] == ["ana@fibra"]
    told = {row["session"]: (row["user_name"], row["client"], row["ended_at"] is None) for row in found["sessions"]}
    assert told == {ended: ("padaria", None, False), now: ("ana@fibra", None, True)}
    assert {row["session"] for row in aaad("lease", "history", "100.64.0.9", "--csv").rows} == {ended, now}
    shown = aaad("lease", "history", "100.64.0.9", language="pt").output
    assert ended in shown
    assert "bng-centro" in shown
    assert aaad.no("lease", "history", "100.64.0.77")["sessions"] == []
    assert "no connection had it" in aaad.told("lease", "history", "100.64.0.77")


def test_history_of_a_prefix_finds_who_had_what_it_lies_in(aaad: House) -> None:
    session = aaad.session("2001:db8:0:100::/56", 50, "ana@fibra")
    found = aaad.ok("lease", "history", "2001:db8:0:101::5")
    assert [row["session"] for row in found["sessions"]] == [session]


# --- release --------------------------------------------------------------------------------------------------------


def test_a_lease_that_no_session_uses_is_taken_back(aaad: House) -> None:
    pool_id = aaad.pool("centro", "--range", "100.64.0.0/24", "--quarantine-s", "600")
    aaad.bound(pool_id, "100.64.0.9/32", 50)
    aaad.session("100.64.0.9", 50, "ana@fibra", ended=True)
    done = aaad.ok("lease", "release", "100.64.0.9", "--reason", "trocou de prédio")
    assert (done["address"], done["login"], done["sessions"]) == ("100.64.0.9/32", "ana@fibra", 0)
    found = aaad.sql("SELECT state, login_id, free_from - released_at = interval '600 s' FROM net.lease")
    assert found == [("released", 50, True)]
    told = aaad.sql("SELECT login_id, text, operator FROM erp.history WHERE kind = 'lease_released' ORDER BY id DESC")
    assert told[0] == (50, "lease 100.64.0.9/32 of pool centro released: trocou de prédio", "maria")
    assert "nothing to take back" in aaad.no("lease", "release", "100.64.0.9")["problem"]
    assert "not in the ledger" in aaad.no("lease", "release", "100.64.0.10")["problem"]


def test_a_lease_in_use_is_not_taken_back_and_the_session_is_named(aaad: House) -> None:
    pool_id = aaad.pool("centro", "--range", "100.64.0.0/24")
    aaad.bound(pool_id, "100.64.0.9/32", 50)
    session = aaad.session("100.64.0.9", 50, "ana@fibra")
    refused = aaad.no("lease", "release", "100.64.0.9")
    assert refused["sessions"] == [session]
    assert f"{session} of ana@fibra at bng-centro" in refused["problem"]
    assert aaad.sql("SELECT state FROM net.lease") == [("bound",)]
    assert "--reason" in aaad.told("lease", "release", "100.64.0.9", "--force", code=2)
    assert "--reason" in aaad.told("lease", "release", "100.64.0.9", "--force", "--reason", "", code=2)
    done = aaad("lease", "release", "100.64.0.9", "--force", "--reason", "dead line", language="pt")
    assert done.exit_code == 0
    assert "1" in done.complaint
    assert aaad.sql("SELECT state FROM net.lease") == [("released",)]


def test_r7_1_an_address_of_two_spaces_is_taken_back_only_of_the_one_that_is_said(aaad: House) -> None:
    for space in (1, 2):
        pool_id = aaad.pool("centro", "--range", "100.64.0.0/24", "--address-space", str(space))
        aaad.bound(pool_id, "100.64.0.9/32", 49 + space, space)
    assert "--space: 1, 2" in aaad.no("lease", "release", "100.64.0.9")["problem"]
    aaad.ok("lease", "release", "100.64.0.9", "--space", "2")
    assert aaad.sql("SELECT address_space, state FROM net.lease ORDER BY 1") == [(1, "bound"), (2, "released")]


def test_what_a_concentrator_reports_is_forgotten_when_nobody_uses_it(aaad: House) -> None:
    aaad.pool("centro", "--range", "100.64.0.0/24")
    aaad.execute(
        "INSERT INTO net.lease (address_space, address, pool_id, state, nas_id) "
        "SELECT 1, address, (SELECT id FROM net.pool WHERE address <<= '100.64.0.0/24'), 'foreign', 1 "
        "FROM unnest('{100.64.0.9,198.51.100.7}'::cidr[]) AS address"
    )
    session = aaad.session("198.51.100.7", 50, "ana@fibra")
    assert aaad.no("lease", "release", "198.51.100.7")["sessions"] == [session]
    aaad.ok("lease", "release", "100.64.0.9")
    assert aaad.sql("SELECT host(address) FROM net.lease") == [("198.51.100.7",)]


def test_a_fixed_address_is_the_logins_to_give_up(aaad: House) -> None:
    aaad.ok("login", "edit", "ana@fibra", "--ipv4", "203.0.113.7")
    refused = aaad.no("lease", "release", "203.0.113.7")
    assert "login ana@fibra's own" in refused["problem"]


# --- fixed addresses ------------------------------------------------------------------------------------------------


def test_complaint_31_a_fixed_address_that_somebody_has_is_refused_and_it_says_who(aaad: House) -> None:
    pool_id = aaad.pool("centro", "--range", "100.64.0.0/24")
    aaad.bound(pool_id, "100.64.0.9/32", 50)
    refused = aaad.no("login", "edit", "padaria", "--ipv4", "100.64.0.9", code=2)
    assert refused["problems"][0]["field"] == "ipv4"
    assert "100.64.0.9/32 (ana@fibra, Ana Souza)" in refused["problems"][0]["message"]
    told = aaad.told("login", "edit", "padaria", "--ipv4", "100.64.0.9", code=2, language="pt")
    assert "--ipv4" in told
    assert "ana@fibra" in told
    aaad.ok("login", "edit", "padaria", "--ipv4", "203.0.113.9")
    refused = aaad.no("login", "edit", "ana@fibra", "--routes", "203.0.113.0/28", code=2)
    assert "203.0.113.9/32 (padaria, Padaria Sol)" in refused["problems"][0]["message"]
    assert refused["problems"][0]["field"] == "routes"
    aaad.ok("login", "edit", "padaria", "--ipv4", "203.0.113.9")  # its own already


def test_a_fixed_address_that_a_process_has_set_aside_is_refused_until_it_is_excluded(aaad: House) -> None:
    pool_id, node_id = aaad.pool("centro", "--range", "100.64.0.0/24"), aaad.node()
    aaad.claim(pool_id, 16, node_id)
    refused = aaad.no("login", "edit", "padaria", "--ipv4", "100.64.0.9", code=2)
    assert "n1" in refused["problems"][0]["message"]
    assert "aaad pool exclude centro 100.64.0.9" in refused["problems"][0]["message"]
    aaad.ok("pool", "exclude", "centro", "100.64.0.9")
    refused = aaad.no("login", "edit", "padaria", "--ipv4", "100.64.0.9", code=2)
    assert "n1 still has it set aside" in refused["problems"][0]["message"]
    aaad.sql("DELETE FROM net.reserve")  # as its process does within seconds, and the keeper of one that is away
    aaad.ok("login", "edit", "padaria", "--ipv4", "100.64.0.9")
    assert aaad.sql("SELECT state, login_id FROM net.lease") == [("fixed", 51)]


def test_a_fixed_network_in_a_pool_of_other_units_is_refused(aaad: House) -> None:
    aaad.pool("centro", "--range", "100.64.0.0/24")
    refused = aaad.no("login", "edit", "padaria", "--routes", "100.64.0.0/29", code=2)
    assert "centro" in refused["problems"][0]["message"]
    assert "/32" in refused["problems"][0]["message"]


# --- secondary networks ---------------------------------------------------------------------------------------------


def with_secondary(aaad: House, *words: str) -> int:
    pool_id = aaad.pool("redes", "--prefix-length", "29", "--range", "203.0.113.0/27", *words)
    aaad.sql("UPDATE net.nas SET secondary_pool = 'redes'")
    return pool_id


def test_s2_08_the_next_network_and_mask_of_the_concentrators_pool_become_a_route(aaad: House) -> None:
    with_secondary(aaad, "--exclude", "203.0.113.0/29")
    refused = aaad.no("login", "secondary", "ana@fibra")
    assert "--nas" in refused["problem"]
    given = aaad.ok("login", "secondary", "ana@fibra", "--nas", "bng-centro")
    assert given["network"] == "203.0.113.8/29"
    assert given["login"]["routes"] == ["203.0.113.8/29"]
    aaad.session("198.51.100.7", 51, "padaria")  # it is connected there
    assert aaad.ok("login", "secondary", "padaria")["network"] == "203.0.113.16/29"
    aaad.sql("UPDATE erp.login SET nas_id = 1 WHERE id = 50")
    assert "203.0.113.24/29" in aaad("login", "secondary", "ana@fibra", language="pt").output
    assert aaad.sql("SELECT address::text, state, login_id FROM net.lease ORDER BY lease.address") == [
        ("203.0.113.8/29", "fixed", 50),
        ("203.0.113.16/29", "fixed", 51),
        ("203.0.113.24/29", "fixed", 50),
    ]
    refused = aaad.no("login", "secondary", "ana@fibra")
    assert "no free network" in refused["problem"]
    assert aaad.ok("pool", "show", "redes")["use"]["unaccounted"] == 0
    changed = aaad.sql("SELECT text, operator FROM erp.history WHERE login_id = 51 AND text LIKE '%routes%'")
    assert changed == [("routes: {} → {203.0.113.16/29}", "maria")]


def test_a_secondary_network_goes_back_and_to_another_when_it_has_rested(aaad: House) -> None:
    with_secondary(aaad, "--quarantine-s", "0", "--exclude", "203.0.113.8-203.0.113.31")
    assert aaad.ok("login", "secondary", "ana@fibra", "--nas", "1")["network"] == "203.0.113.0/29"
    assert "no free network" in aaad.no("login", "secondary", "padaria", "--nas", "1")["problem"]
    refused = aaad.no("login", "secondary", "padaria", "--take-back", "203.0.113.0/29")
    assert "no secondary network of padaria" in refused["problem"]
    session = aaad.session("198.51.100.7", 50, "ana@fibra")
    assert aaad.ok("login", "secondary", "ana@fibra", "--take-back", "203.0.113.0/29")["login"]["routes"] == []
    # Its connection from before may still have the route.
    assert "no free network" in aaad.no("login", "secondary", "padaria", "--nas", "1")["problem"]
    aaad.sql("DELETE FROM net.session WHERE login_id = 50")
    assert session
    assert aaad.ok("login", "secondary", "padaria", "--nas", "1")["network"] == "203.0.113.0/29"


def test_the_gateway_of_a_pool_is_no_logins(aaad: House) -> None:
    aaad.pool("centro", "--range", "100.64.0.0/24", "--gateway", "100.64.0.1")
    words = ("login", "edit", "ana@fibra", "--ipv4", "100.64.0.1")
    assert "100.64.0.1 is the gateway of pool centro" in aaad.told(*words, code=2)


def test_secondary_networks_that_a_process_has_set_aside_are_asked_back(aaad: House) -> None:
    pool_id = with_secondary(aaad)
    node_id = aaad.node()
    aaad.sql("SELECT net.claim_units($1, $2, 0, gen_random_uuid(), 9)", pool_id, node_id)
    refused = aaad.no("login", "secondary", "ana@fibra", "--nas", "1")
    assert "try again in a few seconds" in refused["problem"]
    assert aaad.sql("SELECT pool_id FROM net.pool_shortage") == [(pool_id,)]
    aaad.sql("SELECT net.return_reserve(id) FROM net.reserve")
    assert aaad.ok("login", "secondary", "ana@fibra", "--nas", "1")["network"].endswith("/29")


def test_what_keeps_a_secondary_network_from_being_found_is_told(aaad: House) -> None:
    aaad.sql("UPDATE net.nas SET secondary_pool = NULL")
    words = ("login", "secondary", "ana@fibra", "--nas", "1")
    assert "--secondary-pool" in aaad.no(*words)["problem"]
    aaad.sql("UPDATE net.nas SET secondary_pool = 'redes'")
    assert "There is no pool redes" in aaad.no(*words)["problem"]
    with_secondary(aaad)
    aaad.ok("pool", "adopt", "redes")
    assert "adopted" in aaad.no(*words)["problem"]
    aaad.ok("pool", "adopt-end", "redes", "--yes")
    aaad.ok("pool", "drain", "redes")
    assert "draining" in aaad.no(*words)["problem"]
    aaad.sql("UPDATE erp.login SET deleted_at = now() WHERE id = 50")
    assert "deleted already" in aaad.no(*words)["problem"]


# --- figures and the cross-check ------------------------------------------------------------------------------------


def test_pools_are_listed_with_their_figures(aaad: House) -> None:
    pool_id = aaad.pool("centro", "--range", "100.64.0.0/24")
    aaad.ok("pool", "add", "--name", "ppp", "--kind", "nas", "--family", "ipv4")
    aaad.bound(pool_id, "100.64.0.9/32", 50)
    use = aaad.ok("pool", "show", "centro")["use"]
    assert (use["size"], use["bound"], use["never"], use["unaccounted"]) == (256, 1, 255, 0)
    assert "256 in all" in aaad("pool", "show", "centro").output
    assert [(row["name"], row["used"]) for row in aaad.ok("pool", "list")] == [("centro", None), ("ppp", None)]
    aaad.sql(
        "INSERT INTO net.pool_use (pool_id, size, never, reserved, bound, offered, fixed, reported, resting, free, "
        "alarm_since) VALUES ($1, 256, 5, 1, 240, 2, 4, 1, 3, 2, now())",
        pool_id,
    )
    listed = aaad.ok("pool", "list", "CENTR")
    assert [(row["name"], row["used"], row["used_percent"]) for row in listed] == [("centro", 248, 96.88)]
    shown = aaad("pool", "list", language="pt").output
    assert "97 %" in shown
    assert [row["name"] for row in aaad.ok("pool", "list", "100.64.0.77")] == ["centro"]
    assert aaad.ok("pool", "list", "100.65.0.0") == []
    assert [row["name"] for row in aaad("pool", "list", "--csv").rows] == ["centro", "ppp"]


def test_check_lists_what_is_reported_and_the_ledger_says_otherwise(aaad: House) -> None:
    aaad.pool("centro", "--range", "100.64.0.0/24")
    assert "is what the ledger says" in aaad("pool", "check").output
    aaad.execute(
        "INSERT INTO net.address_finding (address_space, address, kind, login_id, holder_id, nas_id) "
        "VALUES (1, '100.64.0.9', 'of_another', 51, 50, 1), (1, '198.51.100.7', 'not_given', 51, NULL, 1)"
    )
    found = aaad.no("pool", "check")
    assert [(row["address"], row["kind"], row["holder"]) for row in found["findings"]] == [
        ("100.64.0.9/32", "of_another", "ana@fibra"),
        ("198.51.100.7/32", "not_given", None),
    ]
    assert found["unaccounted"] == []
    assert len(aaad.no("pool", "check", "centro")["findings"]) == 1
    shown = aaad("pool", "check", language="pt")
    assert shown.exit_code == 1
    assert "bng-centro" in shown.output


def test_check_tells_of_units_that_are_in_no_state(aaad: House) -> None:
    aaad.pool("centro", "--range", "100.64.0.0/24")
    aaad.sql("UPDATE net.pool_range SET next = 3")
    assert aaad.no("pool", "check")["unaccounted"][0]["unaccounted"] == 3
    assert "3 are in no state" in aaad("pool", "check").output
