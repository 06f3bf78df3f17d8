"""What is learned becomes records: at once or per minute, counted exactly, masked, bounded."""

from typing import NamedTuple

import pytest

from aaad.policy.codes import LoginFlag, Reason
from aaad.policy.facts import LoginFacts
from aaad.policy.parameters import BranchPolicy, learn_flags
from aaad.radius import learned
from aaad.radius.integrity import SecretKeys
from aaad.radius.learned import ANNOUNCE_EVERY_S, Learned
from aaad.radius.routers import Nas, Router
from aaad.replica.record import NasRow
from aaad.spool.records import BindingLearned, LoginRefused, MessageAuthenticatorArmed, NameRefused, RouterSeen

MINUTE = 29_000_000
NOW_S = MINUTE * 60.0
NAS = Nas(NasRow(12, "bras", "192.0.2.0/24", b"testing123", b"", 0.0, "mikrotik", True, "auto", 900, 1), 0.0)

HOST = Nas(NasRow(13, "one", "198.51.100.1/32", b"testing123", b"", 0.0, "mikrotik", True, "auto", 900, 1), 0.0)


def router(identifier: bytes = b"bras-01", *, is_kept: bool = True) -> Router:
    """A router behind the entry, by default one that proved its secret."""
    made = Router(NAS, "192.0.2.1", identifier)
    made.is_kept = is_kept
    return made


def test_r2_1_a_router_is_told_of_at_first_and_every_few_minutes() -> None:
    gathered, one = Learned(), router()
    gathered.local_address = "192.0.2.250"
    for offset_s in (0.0, 1.0, ANNOUNCE_EVERY_S - 1, ANNOUNCE_EVERY_S, ANNOUNCE_EVERY_S + 1):
        gathered.secret_proven(one, NOW_S + offset_s)
    assert gathered.take() == [
        RouterSeen(12, "192.0.2.1", b"bras-01", "192.0.2.250", NOW_S + offset_s)
        for offset_s in (0.0, ANNOUNCE_EVERY_S)
    ]
    assert one.last_heard_s == NOW_S + ANNOUNCE_EVERY_S + 1


def test_r2_2_another_secret_is_told_at_once_but_not_all_the_time() -> None:
    gathered, one = Learned(), router()
    secrets = [SecretKeys(b"secret %d" % number, b"key of a cluster") for number in range(2)]
    assert len({keys.fingerprint for keys in secrets}) == 2

    def told(offset_s: float, keys: SecretKeys) -> list[bytes]:
        one.prove(keys)
        gathered.secret_proven(one, NOW_S + offset_s)
        return [record.secret_fingerprint for record in gathered.take() if isinstance(record, RouterSeen)]

    first, second = secrets
    assert told(0, first) == [first.fingerprint]
    assert told(40, second) == [second.fingerprint]
    assert [told(41 + number, secrets[number % 2]) for number in range(29)] == [[]] * 29, "two of one name, perhaps"
    assert one.announce_at_s == NOW_S + 70, "what changed last is told when it may be, though it changes no more"
    assert told(70, first) == [first.fingerprint]
    assert told(100, first) == []


def test_facts_are_given_out_once_and_at_once() -> None:
    gathered = Learned()
    gathered.armed(router(), NOW_S)
    assert gathered.take() == [MessageAuthenticatorArmed(12, "192.0.2.1", b"bras-01", NOW_S)]
    assert gathered.take(everything=True) == []


def test_r3_6_refusals_of_a_login_are_counted_per_reason_and_minute() -> None:
    gathered = Learned()
    for offset_s, reason in [(0, 11), (1, 11), (59.9, 11), (60, 11), (61, 26)]:
        gathered.login_refused(7, Reason(reason), NOW_S + offset_s)
    assert gathered.take() == [
        LoginRefused(7, "wrong_password", MINUTE, 3),
        LoginRefused(7, "wrong_password", MINUTE + 1, 1),
        LoginRefused(7, "blocked_manually", MINUTE + 1, 1),
    ]
    assert gathered.take() == []
    assert gathered.gathered == 5


def test_counts_of_the_running_minute_are_given_out_too_so_that_a_kill_costs_little() -> None:
    gathered = Learned()
    for _ in range(2):
        gathered.login_refused(7, Reason.WRONG_PASSWORD, NOW_S)
        assert gathered.take() == [LoginRefused(7, "wrong_password", MINUTE, 1)]


def test_r3_6_routers_that_proved_nothing_are_counted_by_the_address_of_their_entry() -> None:
    gathered = Learned()
    for number in range(50):
        stranger = Router(NAS, f"192.0.2.{number}", b"made up %d" % number)
        gathered.name_refused(stranger, Reason.UNKNOWN_LOGIN, b"mallory", NOW_S)
        elsewhere = Router(HOST, "198.51.100.1", b"made up %d" % number)
        gathered.name_refused(elsewhere, Reason.UNKNOWN_LOGIN, b"mallory", NOW_S)
    assert gathered.take() == [
        NameRefused(12, "192.0.2.0", b"", "unknown_login", MINUTE, 50, ("ma***(7)",)),
        NameRefused(13, "198.51.100.1", b"", "unknown_login", MINUTE, 50, ("ma***(7)",)),
    ]


def test_r3_6_unknown_names_are_counted_per_router_with_a_small_masked_sample() -> None:
    gathered, one, other = Learned(), router(), router(b"bras-02")
    for number in range(20):
        gathered.name_refused(one, Reason.UNKNOWN_LOGIN, b"%c%c-secret-name" % (97 + number, 97), NOW_S)
    gathered.name_refused(other, Reason.UNKNOWN_LOGIN, b"password1", NOW_S)
    first, second = gathered.take()
    assert first == NameRefused(
        12, "192.0.2.1", b"bras-01", "unknown_login", MINUTE, 20, tuple(f"{chr(97 + n)}a***(14)" for n in range(5))
    )
    assert second == NameRefused(12, "192.0.2.1", b"bras-02", "unknown_login", MINUTE, 1, ("pa***(9)",))


class Asks(NamedTuple):
    """What a request says."""

    nas_id: int = 12
    mac: int = 0xAABBCCDDEE01
    port_id: str = "vlan100"
    circuit_id: str = "olt 1/2/3"


LEARNS = LoginFlag.MAC_LEARN | LoginFlag.NAS_LEARN | LoginFlag.PORT_LEARN | LoginFlag.CIRCUIT_LEARN
LEARNABLE = {"mac": "AA:BB:CC:DD:EE:01", "nas": "12", "port": "vlan100", "circuit": "olt 1/2/3"}


def learned_of(flags: int, policy: BranchPolicy | None = None, asked: Asks | None = None) -> dict[str, str]:
    """What is learned of a login with these flags."""
    gathered = Learned()
    login = LoginFacts(7, 2, 3, 4, 5, flags, 2, 1, 0)
    gathered.bindings_seen(login, flags & learn_flags(policy or BranchPolicy(1)), asked or Asks(), NOW_S)
    records = gathered.take()
    assert all(isinstance(one, BindingLearned) and (one.login_id, one.at_s) == (7, NOW_S) for one in records)
    return {one.kind: one.value for one in records if isinstance(one, BindingLearned)}


@pytest.mark.parametrize("kind", LEARNABLE)
def test_each_binding_is_learned_by_its_own_flag_or_as_the_branch_says(kind: str) -> None:
    always, by_default = LoginFlag[f"{kind.upper()}_LEARN"], LoginFlag[f"{kind.upper()}_LEARN_DEFAULT"]
    says_so = BranchPolicy(1)._replace(**{f"{kind}_learn": True})
    assert learned_of(always) == learned_of(by_default, says_so) == {kind: LEARNABLE[kind]}
    assert learned_of(by_default) == learned_of(0, says_so) == {}


def test_nothing_is_learned_from_what_a_request_does_not_say() -> None:
    assert learned_of(LEARNS, asked=Asks(0, 0, "", "")) == {}
    assert learned_of(LEARNS) == LEARNABLE


def test_a_binding_is_told_once_until_the_replica_can_show_it(monkeypatch: pytest.MonkeyPatch) -> None:
    gathered, facts = Learned(), LoginFacts(7, 2, 3, 4, 5, LEARNS, 2, 1, 0)

    def told(offset_s: float, asked: Asks | None = None, login_id: int = 7) -> int:
        gathered.bindings_seen(facts._replace(login_id=login_id), LEARNS, asked or Asks(), NOW_S + offset_s)
        return len(gathered.take())

    assert [told(offset_s) for offset_s in (0, 1, 59, 60, 119)] == [4, 0, 0, 0, 0]
    assert told(61, Asks(mac=2)) == 1, "another device, after an operator cleared the first"
    assert told(61, login_id=8) == 4
    assert told(120) == 4, "told again: the record may have found the login held"
    assert told(10_000) == 4, "what was told long ago is forgotten"
    monkeypatch.setattr(learned, "BINDINGS_MAX", 4)
    assert [told(10_000, login_id=login_id) for login_id in (1, 2, 3, 3, 1)] == [4, 4, 4, 0, 4]
    monkeypatch.setattr(learned, "RECORDS_MAX", 0)
    assert told(10_001, login_id=4) == 0
    monkeypatch.setattr(learned, "RECORDS_MAX", 9)
    assert told(10_001, login_id=4) == 4, "what found no room is told later"


def test_records_are_bounded_and_what_finds_no_room_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learned, "RECORDS_MAX", 3)
    gathered = Learned()
    for _ in range(5):
        gathered.armed(router(), NOW_S)
    assert gathered.dropped == 2
    assert len(gathered.take()) == 3


def test_refusals_are_bounded_and_what_finds_no_room_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learned, "REFUSALS_MAX", 3)
    gathered, one = Learned(), router()
    for login_id in range(5):
        gathered.login_refused(login_id, Reason.WRONG_PASSWORD, NOW_S)
        gathered.name_refused(router(b"bras-%d" % login_id), Reason.UNKNOWN_LOGIN, b"name", NOW_S)
    gathered.login_refused(0, Reason.WRONG_PASSWORD, NOW_S)
    gathered.name_refused(one, Reason.UNKNOWN_LOGIN, b"name", NOW_S)
    assert gathered.uncounted == 2 + 2 + 1
    records = gathered.take()
    assert [record.count for record in records] == [2, 1, 1, 1, 1, 1]


def test_a_full_minute_is_given_out_in_portions_and_at_the_end_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learned, "TAKE_MAX", 4)
    gathered = Learned()
    for number in range(10):
        gathered.login_refused(number, Reason.BLOCKED_AUTOMATICALLY, NOW_S)
        gathered.name_refused(router(b"%d" % number), Reason.UNKNOWN_LOGIN, b"name", NOW_S)
    taken = [gathered.take() for second in range(3)]
    assert [len(records) for records in taken] == [8, 8, 4]
    for number in range(10):
        gathered.login_refused(number, Reason.BLOCKED_AUTOMATICALLY, NOW_S)
    assert len(gathered.take(everything=True)) == 10
