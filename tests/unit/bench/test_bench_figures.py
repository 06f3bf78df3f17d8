"""The bench tells the truth: ratios are of neighbours in time, misses and failures show, all CPU is counted."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[3] / "bench"


@pytest.fixture(scope="module", autouse=True)
def _bench_on_path():
    sys.path.insert(0, str(BENCH))
    yield
    sys.path.remove(str(BENCH))


def row(leg, phase, per_cpu, **more):
    return {
        "leg": leg,
        "phase": phase,
        "per_cpu": per_cpu,
        "rate": per_cpu,
        "p50": 1.0,
        "p99": 2.0,
        "cpu_s": {leg: 1.0},
        "wall_s": 1.0,
        "foreign_share": 0.0,
        **dict.fromkeys(("retransmits", "lost", "bad", "unexpected"), 0),
        **more,
    }


def measured(ours, prototype, files=(), single=()):
    import report

    names = ("prototype", "freeradius-files", "freeradius-files-single", "freeradius-sql", "aaad")
    run = report.Run(dict.fromkeys(names, "what it is"), "* setup")
    for leg, figures in (
        ("aaad", ours),
        ("prototype", prototype),
        ("freeradius-files", files),
        ("freeradius-files-single", single),
    ):
        run.rows += [row(leg, report.CLOSED, figure) for figure in figures]
    return run


def test_a_ratio_compares_runs_of_one_round():
    import report

    run = measured([10, 20, 30], [20, 20, 120])
    assert report.ratios(run, report.TARGETS[0]) == ("prototype", [0.5, 1.0, 0.25])


def test_of_the_variants_of_a_peer_the_best_counts():
    import report

    run = measured([120], [100], files=[50], single=[60])
    assert report.ratios(run, report.TARGETS[1]) == ("freeradius-files-single", [2.0])


def test_a_missed_target_and_a_failed_leg_show():
    import report

    run = measured([40], [100], files=[10])
    run.failures["freeradius-sql"] = "no PostgreSQL here"
    text = report.markdown(run)
    assert "| PAP: bare prototype (`prototype`) | 0.40 [0.40–0.40] | ≥ 0.5, wish 0.6 | **missed** |" in text
    assert "| PAP: FreeRADIUS from memory (`freeradius-files`) | 4.00 [4.00–4.00] | ≥ 1.2 | met |" in text
    assert "* freeradius-sql: no PostgreSQL here" in text
    assert "| freeradius-sql | 0 | not measured: no PostgreSQL here |" in text


def test_wrong_answers_show_in_the_table():
    import report

    run = measured([], [100])
    run.rows.append(row("aaad", report.CLOSED, 90, lost=3, unexpected=2))
    assert "| 0, 3, 0, 2 |" in report.markdown(run)


def test_cpu_of_children_counts_while_they_live_and_after_they_are_reaped():
    import processes

    burn = "import time; t=time.process_time\nwhile t() < 0.2: pass\n"
    script = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {burn!r}])\nprint(flush=True)\ninput()"
    child = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        child.stdout.readline()
        assert processes.cpu_s([child.pid]) >= 0.17
    finally:
        child.communicate(b"\n", timeout=10)


def test_a_process_below_two_roots_counts_once():
    import generator

    burn = "import time; t=time.process_time\nwhile t() < 0.3: pass\nprint(flush=True)\ninput()"
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])"
    parent = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        import processes

        parent.stdout.readline()
        (child,) = processes.trees([parent.pid]).keys() - {parent.pid}
        together = generator.used_s({"child": [child], "rest": [parent.pid]})
        assert together["child"] >= 0.25  # the kernel counts in hundredths
        assert sum(together.values()) == pytest.approx(processes.cpu_s([parent.pid]), abs=0.05)
    finally:
        parent.communicate(b"\n", timeout=10)


def test_a_root_that_is_gone_is_an_error_and_not_a_zero():
    import processes

    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with pytest.raises(ProcessLookupError):
        processes.cpu_s([gone.pid])


def test_who_measures_replaces_his_own_section_and_no_other(tmp_path, monkeypatch):
    import sections

    results = tmp_path / "RESULTS.md"
    monkeypatch.setattr(sections, "RESULTS", results)
    sections.write(sections.ORDERS, "## Orders\n\nfast\n", results)
    sections.write(sections.ACCOUNTING, "## Accounting\n\n| a | b |\n", results)
    sections.write(sections.ORDERS, "## Orders\n\nfaster\n", results)
    assert results.read_text() == (
        "# Measured\n\n<!-- section 4-accounting -->\n## Accounting\n\n| a | b |\n"
        "\n<!-- section 91-orders -->\n## Orders\n\nfaster\n"
    )


def test_a_file_without_sections_is_not_lost(tmp_path, monkeypatch):
    import sections

    results = tmp_path / "RESULTS.md"
    results.write_text("# Measured by hand\n")
    monkeypatch.setattr(sections, "RESULTS", results)
    with pytest.raises(ValueError, match="not made of sections"):
        sections.write(sections.ORDERS, "## Orders\n", results)
    assert results.read_text() == "# Measured by hand\n"


def test_the_results_are_the_results_by_whatever_path(tmp_path, monkeypatch):
    import sections

    results = tmp_path / "RESULTS.md"
    monkeypatch.setattr(sections, "RESULTS", results)
    monkeypatch.chdir(tmp_path)
    sections.write(sections.ACCOUNTING, "## Accounting\n", results)
    sections.write(sections.ORDERS, "## Orders\n", Path("RESULTS.md"))
    assert sections.parted(results.read_text()).keys() == {sections.ACCOUNTING, sections.ORDERS}


def test_a_file_elsewhere_has_one_section(tmp_path):
    import sections

    sections.write(sections.ORDERS, "## Orders\n", tmp_path / "mine.md")
    assert (tmp_path / "mine.md").read_text() == "## Orders\n"


def test_the_results_that_are_kept_can_be_taken_apart():
    import sections

    text = sections.RESULTS.read_text()
    parts = sections.parted(text)
    assert {sections.SPEED, sections.ACCOUNTING, sections.ADDRESSES, sections.ORDERS} <= parts.keys()
    assert sections.joined(parts) == text


@pytest.mark.parametrize("script", ["orders", "powercut"])
def test_what_lends_the_tests_nodes_finds_all_that_they_need(script):
    command = [sys.executable, BENCH / f"{script}.py", "--help"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert told.returncode == 0, told.stderr
    assert "usage" in told.stdout
