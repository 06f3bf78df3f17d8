"""The file by which a node knows of pools without asking a database."""

from pathlib import Path

from aaad.pools.facts import STATES, LedgerFacts, PoolFacts, read_ledger_facts, write_ledger_facts

POOL = PoolFacts(
    address_space=1, name="p", size=20, never=1, reserved=2, bound=3, offered=1, fixed=4, reported=5, resting=2,
    free=3, counted_at_s=1.0, alarm_percent=90, is_alarmed=False, is_adopting=False,
)  # fmt: skip


def test_what_is_written_is_read(tmp_path: Path) -> None:
    assert read_ledger_facts(tmp_path) is None
    facts = LedgerFacts(at_s=2.0, pools=[POOL], findings={"twice": 1})
    write_ledger_facts(tmp_path, facts)
    assert read_ledger_facts(tmp_path) == facts
    (tmp_path / "pools.json").write_bytes(b"{")
    assert read_ledger_facts(tmp_path) is None


def test_what_is_in_no_state_shows() -> None:
    assert POOL.size - sum(getattr(POOL, state) for state in STATES) == POOL.unaccounted == 0
    assert POOL.used == 12


def test_r7_3_standbys_that_nobody_waits_for_are_a_risk() -> None:
    def risk(standbys: int, waits: bool) -> bool:
        return LedgerFacts(at_s=0, pools=[], findings={}, standbys=standbys, waits_for_standby=waits).may_lose_leases

    assert [risk(0, False), risk(1, False), risk(1, True)] == [False, True, False]
