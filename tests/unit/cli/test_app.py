"""Only the commands that are named are made: nobody can tell by what is answered."""

import pytest
from typer.main import get_command

from aaad.cli.app import build_app, run_command
from aaad.cli.options import Options
from aaad.cli.terminal import Terminal

OPTIONS = Options(language="pt")


@pytest.fixture(scope="module")
def whole():
    return get_command(build_app(Terminal(OPTIONS)))


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["whois", "--help"],
        ["whois", "--no-such-option"],
        ["contract", "--help"],
        ["contract"],
        ["contract", "block", "--help"],
        ["contract", "block"],
        ["contract", "blok"],
        ["contrac", "block"],
        ["--contract", "block"],
        ["--", "contract", "block", "--help"],
    ],
    ids=" ".join,
)
def test_what_is_answered_is_what_the_whole_command_line_answers(whole, words, capsys) -> None:
    with pytest.raises(SystemExit) as end:
        whole(args=words, prog_name="aaad")
    expected = (end.value.code, capsys.readouterr())
    assert (run_command(OPTIONS, words), capsys.readouterr()) == expected
    assert any(expected[1])
