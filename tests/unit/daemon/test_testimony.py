"""What a node says about a login: the past from the journal, untouched by the present; the present by the replica."""

from pathlib import Path

import pytest

from aaad.daemon.node_facts import NodeFiles
from aaad.daemon.router_facts import statistics_path
from aaad.daemon.testimony import ENTRIES_MAX, Asked, Witness
from aaad.journal import Journal, JournalReader
from aaad.policy.codes import Credential, Discard, LoginFlag, Reason
from aaad.policy.facts import LoginExtras, LoginFacts, PlanFacts, Speed
from aaad.radius import explain
from aaad.radius.packet import MIKROTIK_VENDOR, Attribute, attribute, vendor_attribute
from aaad.replica.record import NasRow, Tables, encode, encode_damaged, fold_name, public_part
from aaad.replica.store import ReplicaMeta, ReplicaWriter
from aaad.words import Language

KEY = b"0123456789abcdef"
PLAN = PlanFacts(5, "Fibra 50", Speed("25M", "50M"), 0, 0, 0)
ANA = LoginFacts(
    1,
    2,
    3,
    5,
    1,
    LoginFlag.LOGIN_ACTIVE | LoginFlag.CLIENT_ACTIVE,
    2,
    1,
    0xC6120001,
    nt_hash=b"h" * 16,
    password=b"very-secret",
)
TABLES = Tables(
    1, [NasRow(4, "bras", "192.0.2.0/24", b"s", b"", 0, "mikrotik", True, "auto", 900, 1)], [], [PLAN], [], KEY, 1
)
META = ReplicaMeta(
    snapshot="1:1:", system_identifier="s", timeline="1", count=1, digest=0, applied_at_s=5.0, node_number=1
)
NAS_KEY = (4).to_bytes(4, "little") + bytes((9,)) + b"192.0.2.7"
ATTRIBUTES = attribute(Attribute.USER_NAME, b"ana") + attribute(Attribute.CALLING_STATION_ID, b"AA:BB:CC:00:11:22")


def write_replica(state: Path, login: LoginFacts = ANA, record: bytes | None = None) -> None:
    writer = ReplicaWriter(state / "replica", 1 << 24)
    writer.open()
    built = writer.build()
    with built.write() as transaction:
        transaction.put_record(b"ana", encode(login) if record is None else record)
        transaction.put_tables(TABLES)
        transaction.put_meta(META)
    writer.swap(built)
    writer.close()


def witness(state: Path) -> Witness:
    files = NodeFiles(state, node="n1", version="1", ports=())
    return Witness("n1", files, JournalReader(state / "journal"), Language.ENGLISH)


def journal(state: Path) -> Journal:
    return Journal(state / "journal" / "radius-0", segment_bytes=1 << 17, bytes_max=1 << 18)


def body(reason: int, *, flags: int = 0, login: LoginFacts | None = ANA, attributes: bytes = ATTRIBUTES) -> bytes:
    facts = public_part(encode(login)) if login else b""
    reply = vendor_attribute(MIKROTIK_VENDOR, 8, b"1M/2M") if reason == Reason.GRANTED else b""
    return explain.encode(reason, Credential.RIGHT, flags, 0.001, NAS_KEY, facts, attributes, reply, 1e9)


async def test_past_and_present_stand_apart(tmp_path: Path) -> None:
    write_replica(tmp_path, ANA._replace(access_status=4))
    journal(tmp_path).append(explain.subject_of_login(1), 100.0, body(Reason.GRANTED, flags=explain.FLAG_SIGNED))
    heard = await witness(tmp_path).testify("ANA", 10)
    assert heard.is_complete
    assert heard.login_id == 1
    assert heard.now is not None
    assert (heard.now.reason, heard.now.is_grant, heard.now.plan) == ("blocked_automatically", False, "")
    assert [name for name, _ in heard.now.reply] == ["Reply-Message"]
    (past,) = heard.past
    assert (past.reason, past.at_s, past.slot, past.nas) == ("granted", 100.0, "radius-0", "bras")
    assert (past.source_address, past.calling_station_id) == ("192.0.2.7", "AA:BB:CC:00:11:22")
    assert past.is_signed
    assert past.reply == [("Mikrotik-Rate-Limit", "1M/2M")]
    assert past.until_s == 1e9
    assert past.account is not None
    assert (past.account.access_status, past.account.ipv4) == (1, "198.18.0.1")
    assert heard.journal_since_s == 100.0
    assert "very-secret" not in repr(heard)


async def test_now_is_asked_as_the_last_request_asked(tmp_path: Path) -> None:
    bound = ANA._replace(mac=0xAABBCC001122, flags=ANA.flags | LoginFlag.CONDITIONAL | LoginFlag.MAC_BIND)
    write_replica(tmp_path, bound)
    node = witness(tmp_path)
    alone = (await node.testify("ana", 10)).now
    assert alone is not None
    assert (alone.reason, alone.is_as_last, alone.state) == ("granted", False, "full")
    other = attribute(Attribute.CALLING_STATION_ID, b"AA:BB:CC:00:11:33")
    journal(tmp_path).append(1, 100.0, body(Reason.DEVICE_NOT_ALLOWED, login=bound, attributes=other))
    heard = (await node.testify("ana", 10)).now
    assert heard is not None
    assert (heard.reason, heard.is_as_last, heard.at) == ("device_not_allowed", True, "bras")
    assert heard.account.mac == "AA:BB:CC:00:11:22"
    assert heard.account.marks == ["login_active", "client_active", "mac_bind"]


async def test_a_simulated_login_gets_the_attributes_of_its_reply(tmp_path: Path) -> None:
    extras = LoginExtras(delegated_ipv6_prefix="2001:db8:7::/56", attributes=attribute(11, b"x"))
    write_replica(tmp_path, ANA._replace(extras=extras, flags=ANA.flags | LoginFlag.CONDITIONAL))
    found = await witness(tmp_path).simulate("ANA", Asked(nas="bras"))
    assert (found.is_complete, found.login_id, found.nas_names) == (True, 1, ["bras"])
    assert found.decision is not None
    said = dict(found.decision.reply)
    assert said["Framed-IP-Address"] == "198.18.0.1"
    assert said["Mikrotik-Rate-Limit"] == "25M/50M"
    assert said["Delegated-IPv6-Prefix"] == "2001:db8:7::/56"
    assert said["Filter-Id"] == "x"
    assert found.decision.account.extras is not None
    assert found.decision.account.extras.attributes == [("Filter-Id", "x")]
    assert "very-secret" not in repr(found)


@pytest.mark.parametrize(("login", "asked"), [("nobody", Asked()), ("ana", Asked(nas="other"))])
async def test_an_unknown_login_or_concentrator_is_not_simulated(tmp_path: Path, login: str, asked: Asked) -> None:
    write_replica(tmp_path)
    found = await witness(tmp_path).simulate(login, asked)
    assert (found.is_complete, found.decision, found.nas_names) == (True, None, ["bras"])


async def test_a_dropped_request_and_one_of_another_version_are_told(tmp_path: Path) -> None:
    write_replica(tmp_path)
    written = journal(tmp_path)
    written.append(1, 1.0, b"\xff of another version")
    written.append(1, 2.0, body(Discard.MESSAGE_AUTHENTICATOR_MISSING, flags=explain.FLAG_DISCARDED))
    newest, oldest = (await witness(tmp_path).testify("ana", 10)).past
    assert (newest.reason, newest.discard) == ("", "message_authenticator_missing")
    assert oldest.problem


async def test_an_unknown_name_is_found_by_what_was_typed(tmp_path: Path) -> None:
    write_replica(tmp_path)
    subject = explain.subject_of_name(fold_name(b"Jose"), KEY)
    journal(tmp_path).append(subject, 1.0, body(Reason.UNKNOWN_LOGIN, login=None))
    heard = await witness(tmp_path).testify("JOSE", 10)
    assert (heard.login_id, heard.now) == (0, None)
    assert [past.reason for past in heard.past] == ["unknown_login"]
    assert (await witness(tmp_path).testify("josef", 10)).past == []


async def test_names_are_found_with_accents_and_case(tmp_path: Path) -> None:
    write_replica(tmp_path)
    subject = explain.subject_of_name(fold_name("joão".encode()), KEY)
    journal(tmp_path).append(subject, 1.0, body(Reason.UNKNOWN_LOGIN, login=None))
    assert len((await witness(tmp_path).testify("JOA\u0303O", 10)).past) == 1


@pytest.mark.parametrize(("asked", "given"), [(3, 3), (0, 1), (10_000, ENTRIES_MAX)])
async def test_the_answer_is_bounded_and_newest_first(tmp_path: Path, asked: int, given: int) -> None:
    write_replica(tmp_path)
    written = journal(tmp_path)
    for number in range(ENTRIES_MAX + 20):
        written.append(1, float(number), body(Reason.GRANTED))
    past = (await witness(tmp_path).testify("ana", asked)).past
    assert [decision.at_s for decision in past] == [float(ENTRIES_MAX + 19 - back) for back in range(given)]


async def test_without_a_replica_nothing_is_called_unknown(tmp_path: Path) -> None:
    heard = await witness(tmp_path).testify("ana", 10)
    assert not heard.is_complete
    assert heard.now is None
    assert heard.journal_since_s is None


async def test_a_node_without_a_replica_still_finds_a_login_by_its_number(tmp_path: Path) -> None:
    journal(tmp_path).append(explain.subject_of_login(1), 1.0, body(Reason.GRANTED))
    assert [past.reason for past in (await witness(tmp_path).testify("ana", 10, login_id=1)).past] == ["granted"]


async def test_a_login_whose_record_is_damaged_is_found_and_makes_no_replica_incomplete(tmp_path: Path) -> None:
    write_replica(tmp_path, record=encode_damaged(1))
    journal(tmp_path).append(explain.subject_of_login(1), 1.0, body(Reason.RECORD_DAMAGED, login=None))
    heard = await witness(tmp_path).testify("ana", 10)
    assert (heard.is_complete, heard.login_id, heard.now) == (True, 1, None)
    assert [past.reason for past in heard.past] == ["record_damaged"]


def test_facts_of_files_that_are_damaged_or_gone(tmp_path: Path) -> None:
    (tmp_path / "counters").mkdir()
    (tmp_path / "counters" / "radius-0.cnt").write_bytes(b"damaged")
    statistics_path(tmp_path / "counters", "radius-0").write_bytes(b"[{")
    (tmp_path / "spool" / "radius-0").mkdir(parents=True)
    facts = NodeFiles(tmp_path, node="n", version="v", ports=()).facts(10.0)
    assert facts.counters == {"radius-0": None}
    assert facts.routers == []
    assert not facts.replica.is_complete
    assert facts.spools == []


def test_facts_of_a_whole_replica(tmp_path: Path) -> None:
    write_replica(tmp_path)
    files = NodeFiles(tmp_path, node="n", version="v", ports=())
    for _ in range(3):
        replica = files.facts(10.0).replica
        assert (replica.is_complete, replica.logins_count, replica.applied_at_s) == (True, 1, 5.0)
