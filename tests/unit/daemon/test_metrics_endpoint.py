"""What a scraper gets: valid text, right names and suffixes, cumulative histograms, every slot."""

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from aaad.daemon.metric_families import FAMILIES
from aaad.daemon.metrics_endpoint import HttpAnswer, NodeCollector
from aaad.daemon.node_facts import NodeFacts, NodeFiles, ReplicaFacts, SocketFacts, SpoolFacts
from aaad.daemon.router_facts import RouterFacts
from aaad.metrics import CounterFile, histogram
from aaad.policy.codes import Reason
from aaad.pools.facts import LedgerFacts
from aaad.pools.supply import StockFacts
from aaad.radius.counters import ANSWER_SECONDS, RADIUS_COUNTERS, RECEIVED, decided

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def parse(text: bytes) -> Samples:
    samples: Samples = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in samples, f"twice: {key}"
            samples[key] = sample.value
    return samples


def facts(counters: dict[str, dict[str, int] | None]) -> NodeFacts:
    return NodeFacts(
        node="bras-1",
        version="0.1.0",
        at_s=1000.0,
        replica=ReplicaFacts(is_complete=True, logins_count=12, age_s=0.25, applied_at_s=999.0, held_count=0),
        spools=[SpoolFacts(slot="radius-0", records_undrained=3, disk_bytes=65536)],
        watermark_age_s=2.5,
        sockets=[SocketFacts(address="127.0.0.1", port=1812, number=0, queued_bytes=0, dropped_count=5)],
        routers=[
            RouterFacts(
                slot="radius-0",
                nas_id=1,
                nas="bras",
                source_address="192.0.2.1",
                nas_identifier="id",
                armed=True,
                last_heard_s=990.0,
                unsigned_dropped=4,
            )
        ],
        counters=counters,
        stocks=[StockFacts(slot="radius-0", space=1, pool="casa", units=40)],
        ledger=LedgerFacts(at_s=998.0, pools=[], findings={"twice": 2}),
    )


def render(counters: dict[str, dict[str, int] | None]) -> bytes:
    return NodeCollector(lambda: facts(counters)).render()


def test_counters_of_all_slots_with_their_labels(tmp_path: Path) -> None:
    for slot, amount in (("radius-0", 5), ("radius-1", 7)):
        file = CounterFile(tmp_path / "counters" / f"{slot}.cnt", RADIUS_COUNTERS)
        file.add(RECEIVED, amount)
        file.add(decided(Reason.WRONG_PASSWORD), amount)
    files = NodeFiles(tmp_path, node="n", version="v", ports=())
    samples = parse(NodeCollector(lambda: files.facts(1.0)).render())
    assert samples["aaad_radius_received_total", (("slot", "radius-0"),)] == 5
    assert samples["aaad_radius_received_total", (("slot", "radius-1"),)] == 7
    assert samples["aaad_radius_decisions_total", (("reason", "wrong_password"), ("slot", "radius-1"))] == 7
    assert samples["aaad_radius_decisions_total", (("reason", "granted"), ("slot", "radius-1"))] == 0
    assert samples["aaad_replica_complete", ()] == 0


def test_a_histogram_is_cumulative_and_in_seconds() -> None:
    values = dict.fromkeys(histogram(ANSWER_SECONDS), 0)
    values[f"{ANSWER_SECONDS}%6"] = 10  # below 64 µs
    values[f"{ANSWER_SECONDS}%10"] = 5
    values[f"{ANSWER_SECONDS}%24"] = 1
    samples = parse(render({"radius-0": values}))
    slot = ("slot", "radius-0")

    def bucket(bound: str) -> float:
        return samples[f"{ANSWER_SECONDS}_bucket", (("le", bound), slot)]

    assert bucket("3.2e-05") == 0
    assert bucket("6.4e-05") == 10
    assert bucket("0.001024") == 15
    assert bucket("8.388608") == 15
    assert bucket("+Inf") == 16
    assert samples[f"{ANSWER_SECONDS}_count", (slot,)] == 16


def test_gauges_of_seconds_are_kept_as_microseconds_and_shown_as_seconds() -> None:
    samples = parse(render({"control-0": {"aaad_heartbeat_at_seconds": 1_500_000}}))
    assert samples["aaad_heartbeat_at_seconds", (("slot", "control-0"),)] == 1.5


def test_facts_of_the_node_and_of_the_kernel() -> None:
    samples = parse(render({"radius-0": None}))
    assert samples["aaad_node_info", (("node", "bras-1"), ("version", "0.1.0"))] == 1
    assert samples["aaad_replica_age_seconds", ()] == 0.25
    assert samples["aaad_drain_watermark_age_seconds", ()] == 2.5
    assert samples["aaad_spool_undrained_records", (("slot", "radius-0"),)] == 3
    assert samples["aaad_udp_dropped_total", (("address", "127.0.0.1"), ("port", "1812"), ("socket", "0"))] == 5
    assert samples["aaad_counters_readable", (("slot", "radius-0"),)] == 0
    of_pool = (("pool", "casa"), ("slot", "radius-0"), ("space", "1"))
    assert samples["aaad_pool_reserve_free_addresses", of_pool] == 40
    assert samples["aaad_address_findings", (("kind", "twice"),)] == 2
    assert samples["aaad_address_findings", (("kind", "not_given"),)] == 0
    of_router = tuple(
        {
            "nas": "bras",
            "nas_identifier": "id",
            "proven": "true",
            "slot": "radius-0",
            "source_address": "192.0.2.1",
        }.items()
    )
    assert samples["aaad_router_unsigned_dropped_total", of_router] == 4
    assert samples["aaad_router_last_heard_at_seconds", of_router] == 990.0


def test_every_family_has_its_own_help_and_type() -> None:
    text = render({"radius-0": dict.fromkeys(RADIUS_COUNTERS, 1)}).decode()
    for line in text.splitlines():
        if line.startswith("# HELP "):
            _, _, name, meaning = line.split(" ", 3)
            assert FAMILIES[name].meaning == meaning
    assert "# TYPE aaad_radius_answer_seconds histogram" in text
    assert "# TYPE aaad_radius_received_total counter" in text
    assert "# TYPE aaad_replica_complete gauge" in text


def test_a_counter_that_nobody_described_is_shown_all_the_same() -> None:
    samples = parse(render({"sync-0": {"aaad_of_tomorrow_total|kind=a": 4}}))
    assert samples["aaad_of_tomorrow_total", (("kind", "a"), ("slot", "sync-0"))] == 4


def test_a_node_that_is_well_says_what_else_there_is_to_say_and_stays_well() -> None:
    remarks: list[str] = []
    answer = HttpAnswer(lambda: b"x 1\n", lambda: None, lambda: remarks)
    assert answer._answer(b"GET", b"/healthz") == ("200 OK", b"ok\n")
    remarks.append("mirror of radius-0: away")
    assert answer._answer(b"GET", b"/healthz") == ("200 OK", b"ok\nmirror of radius-0: away\n")


@pytest.mark.parametrize(
    ("method", "path", "problem", "status"),
    [
        (b"GET", b"/metrics", None, "200"),
        (b"HEAD", b"/metrics", None, "200"),
        (b"GET", b"/healthz", None, "200"),
        (b"GET", b"/health", "no replica", "503"),
        (b"GET", b"/", None, "404"),
        (b"POST", b"/metrics", None, "405"),
    ],
)
def test_status_codes(method: bytes, path: bytes, problem: str | None, status: str) -> None:
    answer = HttpAnswer(lambda: b"x 1\n", lambda: problem)
    assert answer._answer(method, path)[0].startswith(status)
