"""Who is connected there and here, compared."""

from uuid import UUID

from aaad.mikrotik.applied import Active, ActiveKind
from aaad.mikrotik.reconcile import Comparison, Ours, compare

MAC = "AA:BB:CC:00:00:01"


def there(name: str = "ana", session_id: str = "81000001", address: str = "100.64.0.1", **more: object) -> Active:
    row = Active("*1", ActiveKind.PPP, name, session_id, address, MAC, 3600, True)
    return row._replace(**more)


def here(name: str = "ana", session_id: str = "81000001", ipv4: str = "100.64.0.1", **more: object) -> Ours:
    family = UUID(bytes=f"{name}{session_id}".encode().ljust(16)[:16])
    one = Ours(family, 0, name, session_id, "bras", "", ipv4, MAC.lower(), 3600.0, 10.0)
    return one._replace(**more)


def told(compared: Comparison) -> list[tuple[str, str]]:
    return [
        (one.difference.value, one.here.user_name if one.here else one.there.name if one.there else "")
        for one in compared.differing
    ]


def test_the_same_session_is_the_same() -> None:
    compared = compare([there(session_id="81000001")], [here(session_id="81000001")], "bras")
    assert (told(compared), compared.equal_count) == ([], 1)
    assert told(compare([there("ANA")], [here()], "bras")) == []


def test_each_difference_is_told() -> None:
    rows = [there("ana"), there("ivo", "8100000a"), there("eva", "8100000e", "100.64.0.9"), there("léo", "8100000f")]
    ours = [
        here("ana", "81000002"),  # has redialled there, and the Stop was lost
        here("eva", "8100000e", "100.64.0.5"),
        here("léo", "8100000f", mac="aa:bb:cc:00:00:99"),
        here("zoe", "81000011"),
    ]
    assert sorted(told(compare(rows, ours, "bras"))) == [
        ("not_here", "ana"),
        ("not_here", "ivo"),
        ("not_there", "ana"),
        ("not_there", "zoe"),
        ("other_address", "eva"),
        ("other_mac", "léo"),
    ]


def test_what_is_too_new_is_left_out() -> None:
    compared = compare([there(uptime_s=5)], [here("ivo", age_s=5.0)], "bras")
    assert (told(compared), compared.new_count) == ([], 2)
    assert told(compare([there(uptime_s=None)], [], "bras")) == [("not_here", "ana")]


def test_local_users_and_services_without_a_table_are_left_out() -> None:
    compared = compare([there(is_radius=False)], [here(session_id="82000001")], "bras")
    assert (told(compared), compared.local_count, compared.other_count) == ([], 1, 1)


def test_a_guest_is_the_same_by_name_and_address() -> None:
    guest = there(session_id="", kind=ActiveKind.HOTSPOT, address="10.5.0.2")
    assert told(compare([guest], [here(session_id="80000001", ipv4="10.5.0.2")], "bras")) == []
    assert told(compare([guest], [here(session_id="80000001", ipv4="10.5.0.3")], "bras")) == [
        ("not_here", "ana"),
        ("not_there", "ana"),
    ]


def test_other_routers_behind_the_entry_are_left_out() -> None:
    ours = [here("ana", nas_identifier="bras"), here("ivo", "81000002", nas_identifier="bras-2")]
    compared = compare([there("ana")], ours, "bras")
    assert (told(compared), compared.equal_count, compared.other_count) == ([], 1, 1)
    alone = compare([there("ana")], [here("ana", nas_identifier="called otherwise")], "bras")
    assert alone.equal_count == 1


def test_of_routers_of_one_name_only_the_one_that_was_asked_is_judged() -> None:
    ours = [
        here("ana", source="192.0.2.1"),
        here("ivo", "81000002", source="192.0.2.2"),
        here("eva", "81000003", source="192.0.2.1"),
    ]
    for at in ("192.0.2.1", "198.51.100.9"):  # of its API: where its requests come from, or another one
        compared = compare([there("ana")], ours, "bras", at)
        assert (told(compared), compared.equal_count, compared.other_count) == ([("not_there", "eva")], 1, 1)
    empty = compare([], ours, "bras", "192.0.2.2")
    assert (told(empty), empty.other_count) == ([("not_there", "ivo")], 2)
    unknown = compare([], ours, "bras", "198.51.100.9")
    assert (told(unknown), unknown.other_count) == ([], 3), "nothing says which of them it is"


def test_sessions_of_another_name_are_judged_only_where_one_of_them_is_there() -> None:
    other = [here("ivo", "81000002", nas_identifier="bras-2"), here("eva", "81000003", nas_identifier="bras-2")]
    compared = compare([there("ana")], other, "bras")
    assert (told(compared), compared.other_count) == ([("not_here", "ana")], 2), "they are of another router"
    renamed = compare([there("ivo", "81000002")], other, "bras")
    assert (told(renamed), renamed.equal_count) == ([("not_there", "eva")], 1)
    silent = [here("ivo", "81000002", nas_identifier="")]
    assert told(compare([], silent, "bras")) == [("not_there", "ivo")]


def test_who_is_there_is_there_even_if_the_router_does_not_say_by_whom() -> None:
    compared = compare([there(is_radius=False)], [here()], "bras")
    assert (told(compared), compared.equal_count, compared.local_count) == ([], 1, 0)


def test_a_tunnels_peer_is_no_mac() -> None:
    assert told(compare([there(caller="203.0.113.9")], [here()], "bras")) == []
