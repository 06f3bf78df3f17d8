"""The common options are found wherever they stand, and a role's process loads nothing that only people need."""

import subprocess
import sys
from pathlib import Path

import pytest

from aaad.cli import main
from aaad.cli.options import DEFAULT_PATH, Options, UsageError, take_options
from aaad.config import DEFAULT_PATH as CONFIG_DEFAULT_PATH
from aaad.config import PATH_VARIABLE as CONFIG_PATH_VARIABLE
from aaad.config import CliConfig


@pytest.mark.parametrize(
    "words",
    [
        ["--config", "/a.toml", "--json", "status", "--language", "pt"],
        ["status", "--json", "--language=pt", "--config=/a.toml"],
        ["--language", "pt", "status", "--config", "/a.toml", "--json"],
    ],
)
def test_common_options_may_stand_anywhere(words: list[str]) -> None:
    assert take_options(words) == (Options(Path("/a.toml"), "pt", True), ["status"])


def test_the_operator_may_be_named() -> None:
    assert take_options(["contract", "--operator=ana", "block", "4"]) == (
        Options(operator="ana"),
        ["contract", "block", "4"],
    )


def test_other_words_are_left_alone_and_nothing_is_taken_behind_two_hyphens() -> None:
    options, rest = take_options(["radtest", "--port", "1", "--", "login", "--json"])
    assert options == Options()
    assert rest == ["radtest", "--port", "1", "--", "login", "--json"]


def test_a_relative_configuration_is_made_absolute() -> None:
    assert take_options(["--config", "a.toml"])[0].config == Path.cwd() / "a.toml"


@pytest.mark.parametrize(
    ("words", "told"),
    [(["status", "--config"], "a value must follow"), (["--language", "de"], "one of auto, pt, en")],
)
def test_wrong_common_options_are_told(words: list[str], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        take_options(words)


def test_the_configuration_is_found_by_option_then_variable_then_place() -> None:
    assert Options(Path("/o")).config_path({"AAAD_CONFIG": "/v"}) == Path("/o")
    assert Options().config_path({"AAAD_CONFIG": "/v"}) == Path("/v")
    assert Options().config_path({}) == DEFAULT_PATH


def test_the_names_are_those_of_the_configuration() -> None:
    """They stand twice, so that a role's process need not load the configuration's machinery twice."""
    from aaad.cli import options

    assert options.DEFAULT_PATH == CONFIG_DEFAULT_PATH
    assert options.PATH_VARIABLE == CONFIG_PATH_VARIABLE
    assert set(options.LANGUAGES) == set(CliConfig.model_fields["language"].annotation.__args__)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("words", "role", "slot"),
    [
        (["radius"], "radius", 0),
        (["radius", "--slot", "3"], "radius", 3),
        (["--slot", "1", "sync"], "sync", 1),
    ],
)
def test_a_roles_words(words: list[str], role: str, slot: int) -> None:
    assert main._role_and_slot(words) == (role, slot)


@pytest.mark.parametrize("words", [[], ["--slot", "1"], ["radius", "--slot", "x"], ["radius", "--slot"], ["a", "b"]])
def test_wrong_words_of_a_role_are_a_usage_error(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["role", *words]) == main.EXIT_USAGE
    assert "aaad role NAME" in capsys.readouterr().err


def test_an_unknown_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["no-such-command"]) == main.EXIT_USAGE
    assert "no-such-command" in capsys.readouterr().err


def test_a_role_is_reached_without_what_only_people_need() -> None:
    program = (
        "import sys, types\n"
        "roles = types.ModuleType('aaad.daemon.roles')\n"
        "def run_role(*words):\n"
        "    heavy = {'typer', 'rich', 'click', 'pydantic'} & set(sys.modules)\n"
        "    print(*words, *sorted(heavy))\n"
        "    return 0\n"
        "roles.run_role = run_role; sys.modules['aaad.daemon.roles'] = roles\n"
        "from aaad.cli.main import run\n"
        "sys.exit(run(['role', 'radius', '--slot', '1', '--config', '/c']))\n"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert told == ["radius", "1", "/c"]
