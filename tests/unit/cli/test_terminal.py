"""What commands write with: ages, instants, languages, exit codes and one-line complaints."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from rich.console import Console
from rich.style import Style
from typer.main import get_command
from typer.testing import CliRunner

from aaad.cli.app import build_app
from aaad.cli.billing import STYLES
from aaad.cli.local_node import Heard
from aaad.cli.options import Options
from aaad.cli.status import _Report, find_problems, is_serving
from aaad.cli.terminal import Lines, Terminal
from aaad.daemon.node_facts import NodeFacts, ReplicaFacts, SocketFacts
from aaad.daemon.router_facts import RouterFacts, UnknownSource
from aaad.daemon.router_problems import ProblemKind, find_router_problems
from aaad.errors import ConfigError
from aaad.pools.facts import LedgerFacts, PoolFacts
from aaad.words import Language

ROOT = Path(__file__).parents[3]
GOOD = '[database]\ndsn = "postgresql://aaad:very-secret@db/aaad"\n'


def terminal(language: str = "en", config: Path | None = None, environ: dict[str, str] | None = None) -> Terminal:
    return Terminal(Options(config, language), environ or {})


@pytest.mark.parametrize(
    ("seconds", "english", "portuguese"),
    [
        (None, "never", "nunca"),
        (0.04, "0.0 s", "0.0 s"),
        (119.0, "119.0 s", "119.0 s"),
        (120.0, "2 min", "2 min"),
        (3 * 3600 + 5, "3 h", "3 h"),
        (9 * 86400.0, "9 d", "9 d"),
        (-3.0, "0.0 s", "0.0 s"),
    ],
)
def test_ages(seconds: float | None, english: str, portuguese: str) -> None:
    assert terminal("en").age(seconds) == english
    assert terminal("pt").age(seconds) == portuguese


def test_a_row_of_a_table_has_its_colour_and_no_markup() -> None:
    shown = io.StringIO()
    lines = Lines(Console(file=shown, force_terminal=True, color_system="256"), ("state",))
    lines.add("[b]overdue", style=STYLES["vermelho"])
    lines.add("cancelled")
    lines.print()
    assert "\x1b[31m[b]overdue" in shown.getvalue()
    assert "\x1b[31mcancelled" not in shown.getvalue()
    assert all(Style.parse(style).color for style in STYLES.values())


def test_instants_are_in_the_machines_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "America/Sao_Paulo")
    time.tzset()
    try:
        assert terminal("pt").clock(1_700_000_000.25) == "14/11/2023 19:13:20.250"
        assert terminal("en").clock(1_700_000_000.25) == "2023-11-14 19:13:20.250"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_the_language_follows_configuration_and_locale(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(GOOD + '[cli]\nlanguage = "pt"\n')
    assert Terminal(Options(path), {}).language is Language.PORTUGUESE
    assert Terminal(Options(path, "en"), {}).language is Language.ENGLISH
    assert Terminal(Options(tmp_path / "absent"), {"LANG": "pt_BR.UTF-8"}).language is Language.PORTUGUESE


def test_a_configuration_that_nobody_named_may_be_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aaad.cli.options.DEFAULT_PATH", tmp_path / "absent")
    assert Terminal(Options(), {}).maybe_config is None
    with pytest.raises(ConfigError):
        _ = Terminal(Options(tmp_path / "absent"), {}).maybe_config


def test_check_says_good_and_in_which_language(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(GOOD)
    result = CliRunner().invoke(build_app(terminal("pt", path)), ["check"])
    assert result.exit_code == 0
    assert result.stdout == f"{path}: a configuração está correta.\n"


@pytest.mark.parametrize("language", ["en", "pt"])
def test_check_tells_key_value_and_what_is_allowed_with_exit_code_2(tmp_path: Path, language: str) -> None:
    path = tmp_path / "a.toml"
    path.write_text(GOOD + "[radius]\nauth_port = 99999\n")
    result = CliRunner().invoke(build_app(terminal(language, path)), ["check"])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "radius.auth_port" in result.stderr
    assert "99999" in result.stderr
    assert "65535" in result.stderr
    assert "secret" not in result.stderr


def test_a_configuration_that_cannot_be_read_is_told_in_the_language(tmp_path: Path) -> None:
    path = tmp_path / "absent.toml"
    for language, told in (
        ("en", "Allowed: a file that can be read (No such file or directory)"),
        ("pt", "Permitido: um arquivo que possa ser lido (arquivo ou diretório inexistente)"),
    ):
        result = CliRunner().invoke(build_app(terminal(language, path)), ["check"])
        assert (result.exit_code, told in result.stderr) == (2, True), result.stderr


def helps(language: str) -> dict[tuple[str, ...], str]:
    """Every command, argument and option with its text, by its path."""
    found: dict[tuple[str, ...], str] = {}

    def walk(command: Any, path: tuple[str, ...]) -> None:
        found[path] = command.help or ""
        found.update({(*path, parameter.name): parameter.help or "" for parameter in command.params})
        for name, below in getattr(command, "commands", {}).items():
            walk(below, (*path, name))

    walk(get_command(build_app(terminal(language))), ())
    return found


def test_every_command_argument_and_option_has_its_text_in_both_languages() -> None:
    english, portuguese = helps("en"), helps("pt")
    assert english.keys() == portuguese.keys()
    assert len(english) > 500
    assert [path for path, text in english.items() if not text or text == portuguese[path]] == []
    shown = CliRunner().invoke(build_app(terminal("pt")), ["radtest", "--help"])
    assert (shown.exit_code, "Envia um Access-Request" in shown.stdout) == (0, True)


def facts(*, heartbeat_age_s: float = 0.1, **changes: object) -> NodeFacts:
    replica = ReplicaFacts(is_complete=True, logins_count=5, age_s=0.2, applied_at_s=1.0, held_count=0)
    values: dict[str, object] = {
        "node": "n",
        "version": "1",
        "at_s": 1000.0,
        "replica": replica,
        "spools": [],
        "watermark_age_s": None,
        "sockets": [],
        "routers": [],
        "counters": {"radius-0": {"aaad_role_heartbeat_seconds": int((1000.0 - heartbeat_age_s) * 1e6)}},
    }
    return NodeFacts(**{**values, **changes})  # type: ignore[arg-type]


def test_a_healthy_node_serves_and_wants_no_attention() -> None:
    assert is_serving(facts())
    assert find_problems(terminal(), facts(), None, None) == []


def test_a_node_without_replica_or_without_radius_does_not_serve() -> None:
    empty = ReplicaFacts(is_complete=False, logins_count=0, age_s=None, applied_at_s=None, held_count=0)
    assert not is_serving(facts(replica=empty))
    assert not is_serving(facts(heartbeat_age_s=60.0))
    assert not is_serving(facts(counters={}))
    assert "no complete copy" in find_problems(terminal(), facts(replica=empty), None, None)[0]
    assert "radius-0 does not run" in find_problems(terminal(), facts(heartbeat_age_s=60.0), None, None)[0]


def test_r2_3_a_router_that_stopped_signing_is_an_alarm() -> None:
    router = RouterFacts(
        nas_id=1, nas="bras", source_address="192.0.2.1", nas_identifier="", armed=True, last_heard_s=990.0,
        unsigned_dropped=3, unsigned_dropped_at_s=999.0,
    )  # fmt: skip
    (english,) = find_problems(terminal("en"), facts(routers=[router]), None, None)
    assert english == (
        "NAS bras stopped sending Message-Authenticator (192.0.2.1, 3 requests dropped): replaced or downgraded? "
        "If so: aaad nas message-auth bras reset"
    )
    (portuguese,) = find_problems(terminal("pt"), facts(routers=[router]), None, None)
    assert "parou de enviar Message-Authenticator" in portuguese


def test_r10_a_wrong_secret_is_told_once_for_all_slots_and_of_few_routers() -> None:
    def row(slot: str, number: int, count: int) -> RouterFacts:
        return RouterFacts(
            slot=slot, nas_id=1, nas="bras", source_address=f"192.0.2.{number}", nas_identifier="id", proven=False,
            armed=False, last_heard_s=999.0, bad_authenticators=count, bad_authenticators_at_s=999.0,
        )  # fmt: skip

    rows = [row("radius-0", number, number) for number in range(1, 30)] + [row("radius-1", 1, 99)]
    told = find_problems(terminal("en"), facts(routers=rows), None, None)
    assert told[0].startswith("NAS bras: its secret seems wrong: 100 requests of 192.0.2.1 id do not fit it. Set the")
    assert len(told) == 10
    assert "o segredo parece errado" in find_problems(terminal("pt"), facts(routers=rows), None, None)[0]


def test_r10_a_router_without_accounting_is_no_alarm() -> None:
    router = RouterFacts(
        nas_id=1, nas="bras", source_address="192.0.2.1", nas_identifier="", armed=False, last_heard_s=999.0,
        granted=9, accepts_without_start=9, without_start_at_s=990.0,
    )  # fmt: skip
    assert [problem.kind for problem in find_router_problems([router], 999.0)] == [ProblemKind.NO_ACCOUNTING]
    assert find_problems(terminal(), facts(routers=[router]), None, None) == []


def test_old_replica_held_logins_and_kernel_drops_are_told() -> None:
    old = ReplicaFacts(is_complete=True, logins_count=5, age_s=65.0, applied_at_s=1.0, held_count=70)
    dropped = SocketFacts(address="192.0.2.1", port=1812, number=0, queued_bytes=0, dropped_count=9)
    told = "\n".join(find_problems(terminal(), facts(replica=old, sockets=[dropped]), None, "connection refused"))
    assert "PostgreSQL could not be asked: connection refused" in told
    assert "not being renewed; its age: 65.0 s" in told
    assert "70 logins" in told
    assert "dropped 9 datagrams on 192.0.2.1 port 1812" in told


def test_r7_3_pools_near_their_end_or_in_doubt_and_standbys_that_nobody_waits_for_are_told() -> None:
    calm = PoolFacts(
        address_space=1, name="quiet", size=10, never=5, reserved=0, bound=5, offered=0, fixed=0, reported=0,
        resting=0, free=0, counted_at_s=1.0, alarm_percent=90, is_alarmed=False, is_adopting=False,
    )  # fmt: skip
    full = structs.replace(calm, name="full", never=0, bound=9, free=1, is_alarmed=True)
    doubtful = structs.replace(calm, name="doubtful", never=4, is_adopting=True)
    ledger = LedgerFacts(
        at_s=1.0, pools=[calm, full, doubtful], findings={"twice": 2}, standbys=1, waits_for_standby=False
    )
    told = find_problems(terminal("en"), facts(ledger=ledger), None, None)
    assert len(told) == 5
    assert "synchronous_standby_names" in told[0]
    assert told[1] == "Of pool full 9 of 10 are in use."
    assert told[2].startswith("Pool doubtful adopts")
    assert told[3] == "Of pool doubtful 1 addresses are nowhere: aaad pool check."
    assert told[4].startswith("Of 2 addresses")
    assert "Do pool full" in find_problems(terminal("pt"), facts(ledger=ledger), None, None)[1]
    assert find_problems(terminal(), facts(ledger=LedgerFacts(at_s=1.0, pools=[calm], findings={})), None, None) == []


HOSTILE = "a\x1b[2J\x9b31m\r\nb\u202e\x7f"
SHOWN = "a\ufffd[2J\ufffd31m\ufffd\ufffdb\ufffd\ufffd"


def test_nothing_that_is_written_can_steer_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    written = terminal()
    written.line(HOSTILE)
    table = written.table("title")
    table.add(HOSTILE)
    table.print()
    written.complain(f"first\nsecond {HOSTILE}")
    written.json({"name": HOSTILE, "far": "\U000e0001", "fine": "São João →"})
    shown = capsys.readouterr()
    assert shown.out.splitlines()[0] == SHOWN
    assert shown.out.splitlines()[2].rstrip() == SHOWN
    assert not [character for character in shown.out + shown.err if not character.isprintable() and character != "\n"]
    assert json.loads(shown.out[shown.out.index("{") :]) == {
        "name": HOSTILE,
        "far": "\U000e0001",
        "fine": "São João →",
    }
    assert "São João →" in shown.out


@pytest.mark.parametrize("words", [["why", ""], ["why", " "], ["why", "\udce9"], ["radtest", "ana", "\udce9"]])
@pytest.mark.parametrize("language", ["en", "pt"])
def test_a_name_that_cannot_be_one_is_a_usage_error(words: list[str], language: str) -> None:
    result = CliRunner().invoke(build_app(terminal(language)), words)
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    assert ("must" if language == "en" else "deve ser") in result.stderr


def test_octets_that_are_no_text_are_refused_by_the_program_itself() -> None:
    for words in ([b"why", b"\xe9"], [b"why", b""]):
        ran = subprocess.run([sys.executable, "-m", "aaad", *words], capture_output=True, timeout=30, cwd=ROOT)
        assert (ran.returncode, b"Traceback" in ran.stderr) == (2, False), ran.stderr


def test_who_asks_and_is_no_concentrator_is_told_with_the_routers(capsys: pytest.CaptureFixture[str]) -> None:
    strangers = [
        UnknownSource(source_address=f"192.0.2.{number}", count=9, first_at_s=1.8e9, last_at_s=1.8e9)
        for number in range(1, 9)
    ]
    _Report(terminal(), Heard("control", facts(unknown_sources=strangers)), None).print([])
    shown = " ".join(capsys.readouterr().out.split())
    assert "192.0.2.1 is no concentrator of ours and asks: 9 datagrams since" in shown
    assert "aaad nas add --name NAME --address 192.0.2.5 --secret -" in shown
    assert "192.0.2.6" not in shown
