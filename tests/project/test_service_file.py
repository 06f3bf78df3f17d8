"""The unit file, judged by systemd itself where it can be, and against what the program does."""

import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from aaad.config import DSN_CREDENTIAL, DSN_FILE, SupervisorConfig

UNIT = Path(__file__).parents[2] / "systemd" / "aaad.service"
SYSCTL = Path(__file__).parents[2] / "config" / "90-aaad-sysctl.conf"
EXPOSURE_MAX = 20  # of 100; systemd calls up to 20 "OK" and most services of a distribution score above 90

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="SKIPPED: no systemd-analyze here, so nobody has judged systemd/aaad.service",
)


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a program that exists on this machine."""
    copy = tmp_path / "aaad.service"
    copy.write_text(UNIT.read_text().replace("/opt/aaad/bin/aaad", sys.executable))
    return copy


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    found = subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60)
    if "unrecognized option" in found.stderr or "Unknown command" in found.stderr:
        pytest.skip(f"SKIPPED: this systemd-analyze is too old for {arguments[0]}")
    return found


@needs_systemd
def test_systemd_understands_every_line(unit: Path):
    found = analyze("verify", "--man=no", str(unit))
    ours = [line for line in found.stderr.splitlines() if "aaad" in line]
    assert ours == []
    assert found.returncode == 0


@needs_systemd
def test_systemd_finds_little_exposed(unit: Path):
    found = analyze("security", "--offline=yes", "--no-pager", f"--threshold={EXPOSURE_MAX}", str(unit))
    assert found.returncode == 0, found.stdout[-3000:]
    assert "Overall exposure level" in found.stdout


def settings() -> dict[str, str]:
    # `strict` off: SystemCallFilter stands twice on purpose.
    parser = ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment]
    parser.read(UNIT)
    return dict(parser["Service"])


def test_the_unit_waits_for_both_rounds_of_draining():
    longest_s = next(
        item.le for item in SupervisorConfig.model_fields["drain_timeout_s"].metadata if hasattr(item, "le")
    )
    assert float(settings()["TimeoutStopSec"].removesuffix("s")) > 2 * longest_s + 10


def test_the_unit_and_the_program_agree():
    found = settings()
    assert found["Type"] == "notify"
    assert found["NotifyAccess"] == "main"  # roles are not given NOTIFY_SOCKET
    assert found["KillMode"] == "mixed"  # the supervisor ends the roles in order
    assert found["RestartPreventExitStatus"] == "2"
    assert found["LoadCredential"] == f"{DSN_CREDENTIAL}:{DSN_FILE}"
    assert float(found["WatchdogSec"].removesuffix("s")) > 10  # a role that hangs is replaced in 5 to 7 s
    assert int(found["FileDescriptorStoreMax"]) >= 64 * 2 + 3


def test_the_readme_installs_what_the_unit_asks_for():
    readme = (UNIT.parents[1] / "README.md").read_text()
    program, *words = settings()["ExecStart"].split()
    for path in (program.removesuffix("/bin/aaad"), str(DSN_FILE), words[words.index("--config") + 1]):
        assert path in readme, path
    assert readme.index(str(DSN_FILE)) < readme.index("systemctl enable --now aaad")


def test_the_kernel_grants_more_than_the_default_asks_for():
    from aaad.config import RadiusConfig

    lines = [line for line in SYSCTL.read_text().splitlines() if line and not line.startswith("#")]
    values = dict(line.split(" = ") for line in lines)
    assert int(values["net.core.rmem_max"]) >= RadiusConfig().receive_buffer_bytes
