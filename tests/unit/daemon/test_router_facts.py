"""What the radius role writes of its routers is what is read here: bounded, printable, no two rows of one name."""

from pathlib import Path

import msgspec

from aaad.daemon.metrics_endpoint import NodeCollector
from aaad.daemon.node_facts import ROLE_HEARTBEAT, NodeFiles, role_ages_s
from aaad.daemon.router_facts import (
    ROUTERS_MAX,
    UnknownSource,
    read_routers,
    read_unknown_sources,
    statistics_path,
    unknown_sources_path,
)
from aaad.metrics import CounterFile
from aaad.radius.counters import RECEIVED


def row(**changes: object) -> dict[str, object]:
    plain = {
        "nas_id": 1,
        "nas": "bras",
        "source_address": "192.0.2.1",
        "nas_identifier": "id",
        "armed": True,
        "last_heard_s": 5.0,
    }
    return {**plain, **changes}


def write(counters: Path, slot: str, rows: list[dict[str, object]]) -> None:
    counters.mkdir(parents=True, exist_ok=True)
    statistics_path(counters, slot).write_bytes(msgspec.json.encode(rows))


def test_every_slots_rows_are_read_and_a_damaged_file_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, "radius-0", [row(requests=3)])
    write(tmp_path, "radius-1", [row(requests=4, proven=False)])
    statistics_path(tmp_path, "radius-2").write_bytes(b"[{")
    found = {(router.slot, router.requests, router.proven) for router in read_routers(tmp_path)}
    assert found == {("radius-0", 3, True), ("radius-1", 4, False)}


def test_what_a_sender_chose_is_made_printable_and_counted_with_its_likes(tmp_path: Path) -> None:
    write(
        tmp_path,
        "radius-0",
        [
            row(nas_identifier="a\x1b[2Jb", requests=1, last_heard_s=9.0),
            row(nas_identifier="a\x07[2Jb", requests=2, armed=False),
            row(nas_identifier="a\u202e[2Jb", requests=4),
        ],
    )
    (router,) = read_routers(tmp_path)
    assert router.nas_identifier == "a\ufffd[2Jb"
    assert (router.requests, router.last_heard_s, router.armed) == (7, 9.0, True)


def test_rows_are_bounded_and_those_in_trouble_come_first(tmp_path: Path) -> None:
    many = [row(nas_identifier=str(number), last_heard_s=float(number)) for number in range(ROUTERS_MAX + 50)]
    write(tmp_path, "radius-0", [row(nas_identifier="wrong secret", bad_authenticators=1, last_heard_s=0.0), *many])
    found = read_routers(tmp_path)
    assert len(found) == ROUTERS_MAX
    assert [router.nas_identifier for router in found[:2]] == ["wrong secret", str(ROUTERS_MAX + 49)]


def test_metrics_show_them_with_their_counts(tmp_path: Path) -> None:
    write(tmp_path / "counters", "radius-0", [row(requests=3, unsigned_dropped=2)])
    files = NodeFiles(tmp_path, node="n", version="v", ports=())
    text = NodeCollector(lambda: files.facts(1.0)).render().decode()
    labels = 'nas="bras",nas_identifier="id",proven="true",slot="radius-0",source_address="192.0.2.1"'
    shown = {line for line in text.splitlines() if line.startswith("aaad_router_")}
    assert {",".join(sorted(line.partition("{")[2].partition("}")[0].split(","))) for line in shown} == {labels}
    values = {line.partition("{")[0]: float(line.rpartition(" ")[2]) for line in shown}
    assert values["aaad_router_requests_total"] == 3
    assert values["aaad_router_unsigned_dropped_total"] == 2


def test_a_slot_that_is_no_longer_in_use_keeps_its_sums_and_shows_no_life(tmp_path: Path) -> None:
    for slot in ("radius-0", "radius-1", "sync-0"):
        file = CounterFile(tmp_path / "counters" / f"{slot}.cnt", [ROLE_HEARTBEAT, RECEIVED])
        file.set_seconds(ROLE_HEARTBEAT, 5.0)
        file.add(RECEIVED, 7)
        write(tmp_path / "counters", slot, [row(unsigned_dropped=1)])
    files = NodeFiles(tmp_path, node="n", version="v", ports=(), radius_processes=1)
    facts = files.facts(100.0)
    assert set(role_ages_s(facts)) == {"radius-0", "sync-0"}
    assert (facts.counters["radius-1"] or {})[RECEIVED] == 7
    assert {router.slot for router in facts.routers} == {"radius-0", "sync-0"}
    files = NodeFiles(tmp_path, node="n", version="v", ports=(), radius_processes=2)
    assert set(role_ages_s(files.facts(100.0))) == {"radius-0", "radius-1", "sync-0"}


def test_unknown_addresses_of_all_slots_are_one_list_the_last_heard_first(tmp_path: Path) -> None:
    heard = {"source_address": "192.0.2.1", "count": 3, "first_at_s": 5.0, "last_at_s": 9.0}
    others = [
        {**heard, "count": 4, "first_at_s": 4.0, "last_at_s": 8.0},
        {**heard, "source_address": "::1", "last_at_s": 10.0},
    ]
    for slot, rows in (("radius-0", [heard]), ("radius-1", others)):
        unknown_sources_path(tmp_path, slot).write_bytes(msgspec.json.encode(rows))
    unknown_sources_path(tmp_path, "radius-2").write_bytes(b"[{")
    assert read_unknown_sources(tmp_path) == [
        UnknownSource(source_address="::1", count=3, first_at_s=5.0, last_at_s=10.0),
        UnknownSource(source_address="192.0.2.1", count=7, first_at_s=4.0, last_at_s=9.0),
    ]
    assert read_routers(tmp_path) == []
    assert NodeFiles(tmp_path.parent, node="n", version="v", ports=()).facts(1.0).unknown_sources == []
