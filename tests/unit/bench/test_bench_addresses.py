"""The bench of addresses tells the truth: ratios of one round, what was told twice or is nobody's, misses."""

import sys
from pathlib import Path

import pytest

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
        "sequences": 5000,
        "seconds": 2.0,
        "settle_s": 0.0,
        "rate": 5000.0,
        "seq_rate": 2500.0,
        "per_cpu": 2000.0,
        "server_cpu_s": 5.0,
        "p50": 1.0,
        "p99": 2.0,
        "cpu_s": {leg: 5.0},
        "wall_s": 2.0,
        "foreign_share": 0.0,
        **dict.fromkeys(
            ("retransmits", "lost", "bad", "unexpected", "ip_duplicates", "no_ip", "moved", "missing"), 0
        ),
        **more,
    }


def measured(*rows):
    import report

    names = ("prototype", "freeradius-sqlippool", "freeradius-mapippoolsp", "aaad")
    return report.Run(dict.fromkeys(names, "what it is"), "* setup", rows=list(rows))


def test_ratios_are_of_one_round_and_recycled_addresses_meet_the_peers_new_ones():
    import addresses_report as told

    run = measured(
        row("aaad", told.NEW, per_cpu=20_000),
        row("freeradius-sqlippool", told.NEW, per_cpu=1000),
        row("aaad", told.NEW, per_cpu=22_000),
        row("freeradius-sqlippool", told.NEW, per_cpu=1000),
        row("aaad", told.RECYCLED, per_cpu=18_000),
        row("prototype", told.NEW, per_cpu=36_000),
    )
    assert told.ratios(run, told.NEW, told.STOCK, "per_cpu") == [20, 22]
    text = told.markdown(run, 4000, 20_000)
    assert (
        "| logins per CPU second, new addresses: `freeradius-sqlippool` | 21.00 [20.00–22.00] | ≥ 20 | met |" in text
    )
    assert "others had: `freeradius-sqlippool` | 18.00 [18.00–18.00] | ≥ 20 | **missed** |" in text
    assert "others had: `prototype` | 0.50 [0.50–0.50] | ≥ 0.5 | met |" in text
    assert "new addresses: `freeradius-mapippoolsp` | – | ≥ 8 | not measured |" in text
    assert "| aaad | new addresses | 500.0 | aaad 500.0 |" in text


def test_the_storm_is_judged_by_its_time_and_by_what_was_sent_again():
    import addresses_report as told

    run = measured(
        row("aaad", told.STORM, seconds=2.5, settle_s=1.5, retransmits=1),
        row("freeradius-sqlippool", told.STORM, seconds=20.0),
        row("aaad", told.STORM, seconds=1.0),
        row("freeradius-sqlippool", told.STORM, seconds=20.0),
        row("aaad", told.OPEN, p99=5.0),
    )
    text = told.markdown(run, 4000, 20_000)
    title = "storm of 20,000, time to the last one served: `freeradius-sqlippool`"
    assert f"| {title} | 0.087 [0.050–0.125] | ≤ 0.1 | met |" in text
    assert "| retransmissions in the storm | 1 | 0 | **missed** |" in text
    assert "| p99 of aaad's answer at 4,000/s, ms | 5.00 [5.00–5.00] | < 5 | **missed** |" in text
    assert "| aaad | 2 | 1.75 [1.00–2.50] | 2,500 [2,500–2,500] | 2.50 [1.00–4.00] | 1,000 [1,000–1,000] |" in text


@pytest.mark.parametrize("what", ["unexpected", "ip_duplicates", "no_ip", "moved", "missing"])
def test_an_address_twice_or_not_at_all_shows_and_fails_the_run(what):
    import addresses_report as told

    assert not told.has_trouble(row("aaad", told.NEW))
    wrong = row("aaad", told.NEW, **{what: 3})
    assert told.has_trouble(wrong)
    figures = ", ".join("3" if key == what else "0" for key in told.TROUBLE)
    assert f"| 0, 0, 0 | {figures} |" in told.markdown(measured(wrong), 4000, 20_000)


def test_who_was_not_asked_shows():
    import addresses_report as told

    run = measured(row("aaad", told.NEW))
    run.failures["freeradius-sqlippool"] = "no FreeRADIUS here"
    text = told.markdown(run, 4000, 20_000)
    assert text.count("| freeradius-sqlippool | 0 | not measured: no FreeRADIUS here | | | | | | |\n") == 3
    recycled = text[text.index(f"### Window 128, {told.RECYCLED}") :].split("###")[1]
    assert "freeradius" not in recycled, "its addresses have an earlier holder always"


def load(tmp_path, **more):
    from addresses_load import LoginLoad

    return LoginLoad(auth_port=1, count=40, time_s=5.0, tag=9, addresses=tmp_path / "given", **more)


def test_each_login_comes_once_and_its_address_is_kept(tmp_path):
    words = load(tmp_path, rate_per_s=4000).arguments()
    for option, value in (("--users", "40"), ("--count", "40"), ("--rate", "4000.000")):
        assert words[words.index(option) + 1] == value
    (tmp_path / "given").write_text("user000001 10.0.0.1\nuser000002 10.0.0.2\n")
    assert load(tmp_path).given() == {"user000001 10.0.0.1", "user000002 10.0.0.2"}


def test_sessions_of_the_storm_end_as_those_who_began(tmp_path):
    storm = load(tmp_path, acct_port=2)
    begun, ended = storm.arguments(), storm.stops()
    assert begun[begun.index("--stages") + 1] == "AS"
    assert ended[ended.index("--stages") + 1] == "T"
    assert begun[begun.index("--collect-class") + 1] == ended[ended.index("--class-file") + 1]
    for option in ("--users", "--count", "--tag", "--acct"):
        assert begun[begun.index(option) + 1] == ended[ended.index(option) + 1]
