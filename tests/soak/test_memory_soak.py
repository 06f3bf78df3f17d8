"""Long proofs of accounting, run by `make soak`: memory stays flat, and the drain keeps up, for an hour."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.soak
BENCH = Path(__file__).resolve().parents[2] / "bench"
LOAD_S = float(os.environ.get("AAAD_SOAK_ACCOUNTING_S", "3600"))
RATE_PER_S = 2000


@pytest.mark.timeout(LOAD_S + 900)
def test_memory_stays_flat_under_steady_accounting(tmp_path: Path) -> None:
    """An hour at 2,000 records a second: no process grows, no record is lost, none waits for long."""
    command = [sys.executable, BENCH / "memory.py", "--seconds", str(LOAD_S), "--rate", str(RATE_PER_S)]
    done = subprocess.run(
        [*command, "--results", tmp_path / "results.md"], capture_output=True, text=True, timeout=LOAD_S + 900
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
