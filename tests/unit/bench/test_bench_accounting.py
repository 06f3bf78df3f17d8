"""The bench of accounting tells the truth: the drain is in the figures; what waits, is missing or grows shows."""

import datetime as dt
import itertools
import sys
from argparse import Namespace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from aaad.spool.directory import write_drained, write_tail
from aaad.spool.segment import Position, Tail

BENCH = Path(__file__).resolve().parents[3] / "bench"


@pytest.fixture(scope="module", autouse=True)
def _bench_on_path():
    sys.path.insert(0, str(BENCH))
    yield
    sys.path.remove(str(BENCH))


def row(leg, phase, **more):
    return {
        "leg": leg,
        "phase": phase,
        "answered": 10_000,
        "acct_response": 10_000,
        "seconds": 2.0,
        "settle_s": 0.0,
        "rate": 5000.0,
        "per_cpu": 2000.0,
        "p50": 1.0,
        "p99": 2.0,
        "p999": 3.0,
        "cpu_s": {leg: 5.0},
        "wall_s": 2.0,
        "foreign_share": 0.0,
        **dict.fromkeys(("retransmits", "lost", "bad", "unexpected", "missing"), 0),
        **more,
    }


def measured(*rows):
    import report

    names = ("prototype", "freeradius-sql", "aaad")
    return report.Run(dict.fromkeys(names, "what it is"), "* setup", rows=list(rows))


def test_records_that_wait_for_the_drain_count_as_stored_later():
    import accounting_report

    assert accounting_report.stored_rate(row("aaad", "", answered=10_000, seconds=2.0, settle_s=3.0)) == 2000


def test_targets_compare_with_freeradius_of_the_same_round():
    import accounting_report as told

    run = measured(
        row("aaad", told.CLOSED, rate=20_000, per_cpu=8000),
        row("freeradius-sql", told.CLOSED, rate=4000, per_cpu=2000),
        row("aaad", told.CLOSED, rate=30_000, per_cpu=12_000),
        row("freeradius-sql", told.CLOSED, rate=10_000, per_cpu=2000),
        row("aaad", told.OPEN, p99=6.0),
    )
    text = told.markdown(run, 4000)
    assert "| acknowledged durable records a second | 4.00 [3.00–5.00] | ≥ 4 | met |" in text
    assert "| records per CPU second, drain included | 5.00 [4.00–6.00] | ≥ 5 | met |" in text
    assert "| aaad | 500.0 | aaad 500.0 |" in text
    assert "| p99 of aaad's answer at 4,000/s, ms | 6.00 [6.00–6.00] | < 5 | **missed** |" in text


def test_what_is_missing_and_who_was_not_asked_show():
    import accounting_report as told

    run = measured(row("aaad", told.CLOSED, lost=3, missing=7))
    run.failures["freeradius-sql"] = "no PostgreSQL here"
    text = told.markdown(run, 4000)
    assert "| 0, 3, 0, 7 |" in text
    assert "| acknowledged durable records a second | – | ≥ 4 | not measured |" in text
    assert "| freeradius-sql | 0 | not measured: no PostgreSQL here |" in text


def test_the_generator_sends_with_a_class_what_it_logged_in_for():
    from accounting_load import AccountingLoad

    load = AccountingLoad(port=2, logins=50, time_s=5.0, sessions=40, tag=9).with_classes(Path("classes"))
    logins, records = load.logins_arguments(1), load.arguments()
    assert logins[logins.index("--collect-class") + 1] == records[records.index("--class-file") + 1] == "classes"
    for option in ("--tag", "--users", "--count"):
        assert logins[logins.index(option) + 1] == records[records.index(option) + 1]


def test_a_set_rate_is_of_records_and_logins_come_beside_it():
    from accounting_load import AccountingLoad

    for auth_port in (None, 1):
        words = AccountingLoad(port=2, logins=50, time_s=5.0, rate_per_s=3000, auth_port=auth_port).arguments()
        assert words[words.index("--rate") + 1] == "1000.000", "so many sessions begin"
        assert words[words.index("--stages") + 1] == ("SIT" if auth_port is None else "ASIT")


def test_undrained_records_are_those_behind_the_cursor(tmp_path):
    from servers import ServerError
    from undrained import Spools

    spools = Spools(tmp_path / "spool")
    assert spools.undrained() == 0, "no spool yet"
    for slot, tail, drained in (("radius-0", 500, 480), ("radius-1", 7, None), ("sync-0", None, None)):
        directory = tmp_path / "spool" / slot
        directory.mkdir(parents=True)
        if tail is not None:
            write_tail(directory, Tail(Position(1, 4096), tail))
        if drained is not None:
            write_drained(directory, Tail(Position(1, 4096), drained))
    assert spools.undrained() == 27
    with pytest.raises(ServerError, match="27 records"):
        spools.wait_until_drained(0.05)
    for slot, tail in (("radius-0", 500), ("radius-1", 7)):
        write_drained(tmp_path / "spool" / slot, Tail(Position(1, 8192), tail))
    spools.wait_until_drained(0.05)


def steady(undrained, memory=None, rate_per_s=5000.0, **more):
    from steady_report import Sample, Steady

    memory = memory or [100 << 20] * len(undrained)
    samples = [
        Sample(float(n), waiting, 5.0, {"sync-0": octets, "postgres": 9 * octets}, {"sync-0": 10})
        for n, (waiting, octets) in enumerate(zip(undrained, memory, strict=True))
    ]
    found = {"drained_after_s": 0.5, "missing": 0} | {key: more.pop(key) for key in list(more) if key == "missing"}
    return Steady(rate_per_s, row("aaad", "", **more), samples, **found)


def test_a_drain_that_falls_behind_is_told():
    import steady_report

    assert steady_report.complaints(steady([0, 2000, 500, 24_000])) == []
    (told,) = steady_report.complaints(steady([0, 2000, 14_000, 26_000]))
    assert "5.2 s of the load" in told


def test_a_load_that_was_not_reached_or_not_kept_is_told():
    import steady_report

    found = steady([0, 0], acct_response=9000, lost=2, missing=5)
    told = " ".join(steady_report.complaints(found))
    assert "4,500 records a second" in told
    assert "2 answers lost" in told
    assert "5 acknowledged records" in told


def test_a_process_that_was_started_again_is_told():
    import dataclasses

    import steady_report

    found = steady([0, 0, 0])
    found.samples[1] = dataclasses.replace(found.samples[1], pids={"sync-0": 11})
    assert steady_report.complaints(found) == ["sync-0 was started again"]


def test_memory_that_grows_is_told_and_what_fills_at_first_is_not():
    import steady_report

    fills = [(min(n, 20) + 80) << 20 for n in range(100)]
    grows = [(n // 5 + 80) << 20 for n in range(100)]
    assert steady_report.growing(steady([0] * 100, fills).samples) == []
    assert steady_report.growing(steady([0] * 100, grows).samples) == ["sync-0"], "PostgreSQL's is told only"
    assert "| sync-0 | 85.5 | 97.5 | **grows** |" in steady_report.memory_table(steady([0] * 100, grows).samples)


def test_the_last_look_is_in_the_table():
    import steady_report

    lines = steady_report.time_table(steady(list(range(100))))
    assert lines[-1].startswith("| 99 | 99 |")
    assert 12 <= len(lines) <= 16


def test_costs_are_per_record_and_by_process_without_what_is_used_anyhow():
    import open_sessions

    repeat = row("aaad", "", answered=500, wall_s=0.5, cpu_s={"radius": 0.015, "sync": 0.03})
    rows = [open_sessions.together([repeat, repeat], 0, {"radius": 0.0, "sync": 0.01})]
    assert open_sessions.costs_us(rows) == pytest.approx([80.0])
    assert open_sessions.costs_us(rows, "sync") == pytest.approx([50.0])
    few = open_sessions.Case(10, rows, {"radius": 0.0, "sync": 0.01})
    dear = [row("aaad", "", answered=1000, server_cpu_s=0.1, cpu_s={"radius": 0.03, "sync": 0.07}, missing=2)]
    text = open_sessions.section(
        Namespace(turns=2, idle=120.0), few, open_sessions.Case(1000, dear, {"radius": 0.002, "sync": 0.1})
    )
    assert "| all | 80.00 [80.00–80.00] | 100.00 [100.00–100.00] |" in text
    assert "| when no record comes | 1.0 % | 10.2 % |" in text
    assert "Ratio 1.25, target ≤ 1.1: **missed**. Lost or missing: 2." in text


def test_the_months_before_are_whole_and_hold_what_was_asked_for():
    import history

    now = dt.datetime(2026, 3, 31, 12, 30, tzinfo=dt.UTC)
    months = history.months_before(now, 3, 1000, 100_000)
    assert [month.table for month in months] == [
        f"session_history_{name}" for name in ("2026_02", "2026_01", "2025_12")
    ]
    assert months[0].until == dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    assert sum(month.count for month in months) >= 100_000
    last = months[0].session(999, months[0].each - 1)
    assert last.ended_at < months[0].until


def test_sessions_of_an_address_do_not_meet():
    import history

    (month,) = history.months_before(dt.datetime(2026, 3, 1, tzinfo=dt.UTC), 1, 100, 1000)
    for number in (0, 57, 99):
        sessions = [month.session(number, nth) for nth in range(month.each)]
        assert {session.address for session in sessions} == {IPv4Address("100.64.1.0") + number}
        assert all(a.ended_at < b.started_at for a, b in itertools.pairwise(sessions))
    for ended, at in history.questions([month], 100):
        assert ended.started_at < at < ended.ended_at
