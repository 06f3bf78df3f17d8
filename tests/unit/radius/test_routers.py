"""Who asks: entries by address, routers behind them (R2.1), their ratchet (R2.3), bounds, and what a reload keeps."""

import math

import pytest

from aaad.radius import routers
from aaad.radius.integrity import SecretKeys
from aaad.radius.routers import Nas, Neighbourhood, Peer, Registry, Remembered, Router
from aaad.replica.record import NasRow, RouterRow

NOW_S = 1_000_000.0


def nas_row(nas_id: int = 1, address: str = "192.0.2.1/32", **changes: object) -> NasRow:
    """A NAS entry, with changes."""
    values = {
        "name": f"bras {nas_id}",
        "secret": b"testing123",
        "secret_previous": b"",
        "secret_previous_until_s": 0.0,
        "kind": "mikrotik",
        "enabled": True,
        "message_authenticator": "auto",
        "deadline_ms": 900,
        "branch_id": 1,
    } | changes
    return NasRow(nas_id=nas_id, address=address, **values)


def router_row(*, armed_at_s: float = 0.0, reset_at_s: float = 0.0, identifier: bytes = b"bras-01") -> RouterRow:
    """What all nodes know of the router of `neighbourhood`."""
    return RouterRow(1, "192.0.2.1", identifier, armed_at_s, reset_at_s)


def neighbourhood(*rows: NasRow, peers_max: int = 100, router_rows: tuple[RouterRow, ...] = ()) -> Neighbourhood:
    """A neighbourhood with these entries, by default one host."""
    hood = Neighbourhood(peers_max=peers_max)
    hood.load(rows or (nas_row(),), router_rows, NOW_S)
    return hood


def heard(hood: Neighbourhood, address: str = "192.0.2.1", port: int = 5000) -> Peer:
    """A peer from which something was heard now."""
    peer = hood.new_peer((address, port), NOW_S)
    assert peer is not None
    return peer


def proven(hood: Neighbourhood, address: str = "192.0.2.1", port: int = 5000) -> Peer:
    """A peer from which a secret was proven now."""
    peer = heard(hood, address, port)
    hood.admit((address, port), peer)
    return peer


# --- the registry ---------------------------------------------------------------------------------------------------

ENTRIES = [
    nas_row(1, "192.0.2.1/32"),
    nas_row(2, "192.0.2.0/24"),
    nas_row(3, "192.0.2.0/31"),
    nas_row(4, "192.0.0.0/16"),
    nas_row(5, "2001:db8::1/128"),
    nas_row(6, "2001:db8::/32"),
    nas_row(7, "2001:db8:1::/48"),
    nas_row(8, "198.51.100.7/32"),
    nas_row(9, "fe80::/10"),
    nas_row(10, "fe80::9/128"),
    nas_row(11, "2001:db8::0.0.0.8/128"),
]


@pytest.mark.parametrize(
    ("address", "nas_id"),
    [
        ("192.0.2.1", 1),
        ("192.0.2.0", 3),
        ("192.0.2.2", 2),
        ("192.0.2.255", 2),
        ("192.0.3.0", 4),
        ("192.1.0.0", None),
        ("198.51.100.7", 8),
        ("198.51.100.8", None),
        ("2001:db8::1", 5),
        ("2001:db8::2", 6),
        ("2001:db8:1::2", 7),
        ("2001:db9::", None),
        ("2001:db8::8", 11),
        ("::ffff:192.0.2.1", 1),
        ("::ffff:192.0.2.2", 2),
        ("::ffff:198.51.100.7", 8),
        ("fe80::1%eth0", 9),
        ("fe80::9%eth0", 10),
    ],
)
def test_hosts_first_then_the_longest_prefix(address: str, nas_id: int | None) -> None:
    found = Registry(ENTRIES, NOW_S).find(address)
    assert (found.nas_id if found else None) == nas_id


@pytest.mark.parametrize("address", ["::ffff:198.51.100.7", "fe80::9%eth0"])
def test_a_mapped_or_scoped_host_is_found_without_any_prefix(address: str) -> None:
    assert Registry([nas_row(8, "198.51.100.7/32"), nas_row(10, "fe80::9/128")], NOW_S).find(address) is not None


def test_everybody_is_a_prefix_too() -> None:
    registry = Registry([nas_row(1, "0.0.0.0/0"), nas_row(2, "::/0")], NOW_S)
    assert [registry.find(address).nas_id for address in ("203.0.113.9", "2001:db8::9")] == [1, 2]


@pytest.mark.parametrize(
    ("address", "is_prefix"),
    [("192.0.2.1/32", False), ("192.0.2.0/31", True), ("2001:db8::1/128", False), ("2001:db8::/127", True)],
)
def test_one_address_is_no_prefix(address: str, is_prefix: bool) -> None:
    nas = Nas(nas_row(address=address), NOW_S)
    assert nas.is_prefix is is_prefix
    assert nas.may_arm is not is_prefix


def test_an_entry_without_a_secret_is_left_out() -> None:
    registry = Registry([nas_row(secret=b""), nas_row(2, "198.51.100.0/24", secret=b"")], NOW_S)
    assert list(registry) == []
    assert registry.find("192.0.2.1") is None


def test_all_entries_are_gone_through() -> None:
    assert sorted(nas.nas_id for nas in Registry(ENTRIES, NOW_S)) == [row.nas_id for row in ENTRIES]


# --- secrets --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("until_s", "secrets"), [(NOW_S + 1, 2), (NOW_S, 1), (0.0, 1)])
def test_a_previous_secret_counts_while_its_time_lasts(until_s: float, secrets: int) -> None:
    nas = Nas(nas_row(secret_previous=b"old", secret_previous_until_s=until_s), NOW_S)
    assert len(nas.keys) == secrets <= routers.SECRETS_MAX
    assert nas.keys[0].same_secret(SecretKeys(b"testing123"))


def test_the_proven_secret_stays_proven_when_it_becomes_the_previous_one() -> None:
    hood = neighbourhood()
    router = hood.router(heard(hood), b"bras-01")
    hood.keep(router)
    hood.load([nas_row(secret=b"new", secret_previous=b"testing123", secret_previous_until_s=NOW_S + 9)], (), NOW_S)
    assert router.proven is router.nas.keys[1]
    hood.load([nas_row(secret=b"new")], (), NOW_S)
    assert router.proven is router.nas.keys[0]
    assert router.proven.same_secret(SecretKeys(b"new"))


@pytest.mark.parametrize(
    ("secrets", "valid"),
    [
        (((b"second", math.inf),), [b"testing123", b"second"]),
        (((b"second", NOW_S + 1), (b"third", NOW_S)), [b"testing123", b"second"]),
        (((b"testing123", NOW_S - 1),), [b"testing123"]),
        (
            tuple((b"number %d" % n, math.inf) for n in range(9)),
            [b"testing123", b"number 0", b"number 1", b"number 2"],
        ),
    ],
)
def test_r2_1_r2_2_an_entry_may_have_more_secrets_four_at_most(secrets: tuple, valid: list[bytes]) -> None:
    nas = Nas(nas_row(secrets=secrets), NOW_S)
    assert len(nas.keys) == len(valid)
    assert all(keys.same_secret(SecretKeys(secret)) for keys, secret in zip(nas.keys, valid, strict=True))


def test_r2_2_a_secret_ends_by_the_clock_and_with_it_what_it_proved() -> None:
    rows = [
        nas_row(secret_previous=b"old", secret_previous_until_s=NOW_S + 9, secrets=((b"x", NOW_S + 20),)),
        nas_row(2, "192.0.2.2/32"),
    ]
    hood = neighbourhood(*rows)
    router = hood.router(heard(hood), b"bras-01")
    hood.keep(router)
    unkept = hood.router(heard(hood, port=7), b"bras-02")
    router.proven = unkept.proven = router.nas.keys[1]
    hood.expire_secrets(NOW_S + 8.9)
    assert (len(router.nas.keys), router.proven) == (3, router.nas.keys[1])
    hood.expire_secrets(NOW_S + 9)
    assert (len(router.nas.keys), router.proven, unkept.proven) == (2, router.nas.keys[0], router.nas.keys[0])
    hood.expire_secrets(NOW_S + 20)
    assert [keys.same_secret(SecretKeys(b"testing123")) for keys in router.nas.keys] == [True]
    hood.expire_secrets(NOW_S + 1e9)
    assert len(router.nas.keys) == 1, "the current secret has no end"


@pytest.mark.parametrize(
    ("source", "plain"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::1", "::1"),
    ],
)
def test_a_router_has_the_address_that_postgresql_can_store(source: str, plain: str) -> None:
    hood = neighbourhood(nas_row(1, "0.0.0.0/0"), nas_row(2, "::/0"))
    assert hood.router(heard(hood, source), b"").source_address == plain


@pytest.mark.parametrize("address", ["::ffff:192.0.2.0/120", "::ffff:192.0.2.1/128"])
def test_an_entry_of_a_mapped_address_is_an_ipv4_entry(address: str) -> None:
    registry = Registry([nas_row(address=address)], NOW_S)
    for source in ("192.0.2.1", "::ffff:192.0.2.1"):
        assert registry.find(source) is not None
    assert registry.find("::1") is None


# --- routers and their ratchet --------------------------------------------------------------------------------------


def test_r2_1_a_router_is_entry_source_and_identifier() -> None:
    hood = neighbourhood(nas_row(1, "192.0.2.0/24"))
    one, same = heard(hood), heard(hood, port=5001)
    other = heard(hood, "192.0.2.2")
    hood.keep(hood.router(one, b"a"))
    assert hood.router(one, b"a") is hood.router(same, b"a")
    assert hood.router(one, b"b") is not hood.router(one, b"a")
    assert hood.router(other, b"a") is not hood.router(one, b"a")
    for peer, identifier in ((one, b"b"), (other, b"a")):
        hood.keep(hood.router(peer, identifier))
    assert len(hood.routers) == 3


def test_r2_3_what_all_nodes_know_arms_and_a_reset_frees() -> None:
    hood = neighbourhood(router_rows=(router_row(armed_at_s=10.0),))
    router = hood.router(heard(hood), b"bras-01")
    assert router.armed
    hood.load([nas_row()], [router_row(armed_at_s=10.0, reset_at_s=20.0)], NOW_S)
    assert not router.armed
    hood.load([nas_row()], [router_row(armed_at_s=30.0, reset_at_s=20.0)], NOW_S)
    assert router.armed


def test_r2_3_a_router_that_is_only_known_is_not_armed() -> None:
    hood = neighbourhood(router_rows=(router_row(),))
    assert not hood.router(heard(hood), b"bras-01").armed


def test_r2_3_a_reset_frees_what_was_armed_here_and_not_yet_stored() -> None:
    hood = neighbourhood()
    router = hood.router(heard(hood), b"bras-01")
    hood.keep(router)
    router.armed, router.locally_armed_at_s = True, NOW_S
    hood.load([nas_row()], [router_row()], NOW_S)
    assert router.armed, "a row that does not know of it yet disarms nothing"
    hood.load([nas_row()], [router_row(reset_at_s=NOW_S + 1)], NOW_S)
    assert not router.armed
    router.armed, router.locally_armed_at_s = True, NOW_S + 2
    hood.load([nas_row()], [router_row(reset_at_s=NOW_S + 1)], NOW_S)
    assert router.armed, "one reset frees once"


def test_r2_3_another_router_of_the_same_entry_is_not_armed() -> None:
    hood = neighbourhood(router_rows=(router_row(armed_at_s=10.0),))
    assert not hood.router(heard(hood), b"bras-02").armed


def test_a_row_that_cannot_be_read_is_told_and_costs_its_entry_only() -> None:
    hood = Neighbourhood(peers_max=10)
    problems = hood.load(
        [nas_row(7, "not an address"), nas_row(8, "192.0.2.8/32", secret=b""), nas_row(9)], (), NOW_S
    )
    assert [problem[:5] for problem in problems] == ["NAS 7", "NAS 8"]
    assert heard(hood).nas.nas_id == 9


# --- bounds ---------------------------------------------------------------------------------------------------------


def test_peers_that_proved_nothing_push_out_each_other_and_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routers, "UNPROVEN_PEERS_MAX", 3)
    hood = neighbourhood(nas_row(1, "192.0.2.0/24"))
    genuine = proven(hood, port=1)
    for port in range(100, 200):
        heard(hood, port=port)
    assert list(hood.unproven_peers) == [("192.0.2.1", port) for port in (197, 198, 199)]
    assert hood.peers == {("192.0.2.1", 1): genuine}
    assert hood.new_peer(("203.0.113.1", 3), NOW_S) is None, "an unknown address is unknown, full or not"


def test_peers_that_proved_a_secret_are_bounded_and_the_oldest_is_forgotten() -> None:
    hood = neighbourhood(peers_max=3)
    for port in range(5):
        proven(hood, port=port)
    assert list(hood.peers) == [("192.0.2.1", port) for port in (2, 3, 4)]
    assert hood.unproven_peers == {}


def test_silent_peers_and_strangers_are_forgotten() -> None:
    hood = neighbourhood()
    proven(hood, port=1)
    hood.router(heard(hood, port=2), b"bras-01")
    hood.forget_idle(NOW_S + 10, 10)
    assert (len(hood.peers), len(hood.unproven_peers), len(hood.strangers)) == (1, 1, 1)
    hood.forget_idle(NOW_S + 11, 10)
    assert (len(hood.peers), len(hood.unproven_peers), len(hood.strangers)) == (0, 0, 1)
    hood.forget_idle(NOW_S + routers.STRANGER_TTL_S + 1, 10)
    assert hood.strangers == {}


def test_r2_1_routers_that_prove_nothing_are_not_kept_and_share_their_addresss_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(routers, "ROUTERS_MAX", 20)
    hood = neighbourhood()
    peer = heard(hood)
    for number in range(100):
        hood.router(peer, b"made up %d" % number).statistics.bad_authenticators += 1
    assert hood.routers == {}
    assert hood.strangers[1, "192.0.2.1"].statistics.bad_authenticators == 100
    for number in range(100):
        genuine = hood.router(peer, b"genuine %d" % number)
        hood.keep(genuine)
        hood.keep(genuine)
    assert len(hood.routers) == 20
    first = hood.router(heard(hood, port=5001), b"genuine 0")
    assert first is hood.routers[1, "192.0.2.1", b"genuine 0"]
    assert first.statistics.bad_authenticators == 0


def test_strangers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routers, "STRANGERS_MAX", 3)
    hood = neighbourhood(nas_row(1, "192.0.2.0/24"))
    for last in range(10):
        hood.router(heard(hood, f"192.0.2.{last}"), b"")
    assert len(hood.strangers) == 3


def test_a_router_that_is_not_kept_obeys_new_tables() -> None:
    hood = neighbourhood()
    peer = heard(hood)
    hood.router(peer, b"bras-01")
    hood.load([nas_row(enabled=False)], (), NOW_S)
    assert not hood.router(peer, b"bras-01").nas.enabled


# --- new tables -----------------------------------------------------------------------------------------------------


def test_a_reload_keeps_what_was_learned() -> None:
    hood = neighbourhood()
    peer = proven(hood)
    router = hood.router(peer, b"bras-01")
    hood.keep(router)
    router.statistics.requests = 7
    peer.remembered[4] = Remembered(bytes(16), b"reply", NOW_S)
    hood.load([nas_row(deadline_ms=3000, enabled=False)], (), NOW_S)
    assert hood.peers["192.0.2.1", 5000] is peer
    assert hood.router(peer, b"bras-01") is router
    assert (router.statistics.requests, router.nas.deadline_s, peer.nas.enabled) == (7, 3.0, False)
    assert peer.remembered[4].reply == b"reply"


def test_an_entry_that_is_gone_takes_its_peers_and_routers_along() -> None:
    hood = neighbourhood()
    hood.keep(hood.router(proven(hood), b"bras-01"))
    hood.router(heard(hood, port=2), b"bras-02")
    hood.load([nas_row(2, "198.51.100.7/32")], (), NOW_S)
    assert (hood.peers, hood.unproven_peers, hood.routers, hood.strangers) == ({}, {}, {}, {})
    assert hood.new_peer(("192.0.2.1", 5000), NOW_S) is None


def test_an_address_that_moves_to_another_entry_is_another_router() -> None:
    hood = neighbourhood(nas_row(1, "192.0.2.0/24"))
    peer = heard(hood)
    before = hood.router(peer, b"bras-01")
    hood.load([nas_row(1, "192.0.2.0/24"), nas_row(2, "192.0.2.1/32", secret=b"other")], (), NOW_S)
    after = hood.router(peer, b"bras-01")
    assert after is not before
    assert after.nas.nas_id == 2
    assert after.proven.same_secret(SecretKeys(b"other"))


@pytest.mark.parametrize(
    ("pinned", "source"),
    [
        (("127.0.0.1", 40000), ("127.0.0.1", 40000)),
        (("::1", 40000), ("::1", 40000, 0, 0)),
        (("::1", 40000, 0, 0), ("::1", 40000, 0, 0)),
    ],
)
def test_a_pinned_source_is_known_whatever_the_tables_say(pinned: tuple, source: tuple) -> None:
    hood = Neighbourhood(peers_max=10)
    nas = Nas(nas_row(0, "127.0.0.1/32", secret=b"own"), 0.0)
    hood.pin(pinned, nas)
    peer = hood.new_peer(source, NOW_S)
    assert peer.nas is nas
    hood.admit(source, peer)
    hood.load([nas_row(5, "127.0.0.0/8"), nas_row(6, "::1/128")], (), NOW_S)
    assert hood.peers[source].nas is nas
    assert hood.new_peer((source[0], 40001, *source[2:]), NOW_S).nas.nas_id in (5, 6)


def test_counts_have_names() -> None:
    router = Router(Nas(nas_row(), NOW_S), "192.0.2.1", b"")
    router.statistics.late += 2
    counts = router.statistics.as_dict()
    assert counts.pop("late") == 2
    assert set(counts.values()) == {0}
