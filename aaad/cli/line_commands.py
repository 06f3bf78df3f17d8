"""The commands on other lines of a contract: SIP, mobile, TV.

Only registers: what a command does is imported when it runs.
"""

from typing import Annotated, Literal

import typer

from aaad.cli.endings import end
from aaad.cli.making import LIMIT_DEFAULT, add_common, limit_option, new_group
from aaad.cli.terminal import Terminal
from aaad.erp import reach
from aaad.words import Speaker

LineKind = Literal["sip", "mvno", "tv"]


def add_lines(app: typer.Typer, terminal: Terminal) -> None:
    """Add `line add`, `show`, `edit`, `delete`, `list`, `report` and `line driver`."""
    _ = terminal.speak
    group = new_group(app, "line", _("SIP extensions, mobile lines and TV subscriptions of contracts."))
    add_common(group, terminal, reach.LINE, "lines", _("its number, or how its provider knows it"))

    @group.command("list", help=_("List lines, what they must be and what their providers told last."))
    def list_lines(
        contract: Annotated[str | None, typer.Option(help=_("only of this contract"))] = None,
        kind: Annotated[LineKind | None, typer.Option(help=_("only of this kind"))] = None,
        differing: Annotated[
            bool, typer.Option("--differing", help=_("only those that are not as they must be"))
        ] = False,
        limit: Annotated[int, limit_option(_)] = LIMIT_DEFAULT,
    ) -> None:
        from aaad.cli import lines

        end(terminal, lambda: lines.list_lines(terminal, contract, kind, limit, only_differing=differing))

    @group.command("report", help=_("Write that a line was stolen or lost, which blocks it, or was found."))
    def report(
        line: Annotated[str, typer.Argument(help=_("its number, or how its provider knows it"))],
        what: Annotated[Literal["theft", "loss", "found"], typer.Argument(help=_("what the customer says"))],
    ) -> None:
        from aaad.cli import lines

        end(terminal, lambda: lines.report_line(terminal, line, what))

    _add_drivers(group, terminal, _)


def _add_drivers(lines_group: typer.Typer, terminal: Terminal, _: Speaker) -> None:
    group = new_group(lines_group, "driver", _("How providers of lines are asked by HTTP."))

    @group.command("show", help=_("Show how they are asked; secrets are shown to nobody."))
    def show(kind: Annotated[LineKind | None, typer.Argument(help=_("sip, mvno or tv"))] = None) -> None:
        from aaad.cli import line_drivers

        end(terminal, lambda: line_drivers.show_drivers(terminal, kind))

    @group.command(
        "set",
        help=_(
            "Say how the provider of a kind of line is asked. In URLs, headers and bodies {identifier}, {line_id}, "
            "{contract_id}, {code}, {state} and {secret} are replaced. An empty value takes away what is there."
        ),
    )
    def set_driver(
        kind: Annotated[LineKind, typer.Argument(help=_("sip, mvno or tv"))],
        url: Annotated[str | None, typer.Option(help=_("what is asked to change a line"))] = None,
        method: Annotated[str | None, typer.Option(help=_("by default POST"))] = None,
        header: Annotated[
            list[str] | None, typer.Option(help=_("NAME=VALUE, several times; NAME= takes one away"))
        ] = None,
        secret: Annotated[
            str | None, typer.Option(help=_("only -: what {secret} stands for is read from standard input"))
        ] = None,
        body: Annotated[
            str | None, typer.Option(help=_("what is sent, as JSON unless a header says otherwise"))
        ] = None,
        codes: Annotated[
            str | None, typer.Option(help=_("what {code} stands for: active=A,partial=BP,blocked=BT"))
        ] = None,
        toggle: Annotated[
            bool | None, typer.Option("--toggle/--no-toggle", help=_("it only turns what is into its contrary"))
        ] = None,
        expected_status: Annotated[str | None, typer.Option(help=_("statuses that say yes: 200,204"))] = None,
        expected_pointer: Annotated[
            str | None, typer.Option(help=_("where in the JSON answer it says yes, as /type"))
        ] = None,
        expected_text: Annotated[str | None, typer.Option(help=_("what stands there, or anywhere in it"))] = None,
        read_url: Annotated[str | None, typer.Option(help=_("what is asked to know how a line is"))] = None,
        read_method: Annotated[str | None, typer.Option(help=_("by default GET"))] = None,
        read_body: Annotated[str | None, typer.Option(help=_("what is sent then"))] = None,
        read_pointer: Annotated[
            str | None, typer.Option(help=_("where the state stands in the JSON answer; without it in the text"))
        ] = None,
        meanings: Annotated[
            str | None, typer.Option(help=_("what stands there, and its meaning: A=active,BT=blocked,BR=theft"))
        ] = None,
        timeout: Annotated[int | None, typer.Option(min=1, max=60, help=_("seconds for each request"))] = None,
        settle: Annotated[
            int | None,
            typer.Option(min=0, max=3600, help=_("seconds for which what was asked may still be under way")),
        ] = None,
        verify_tls: Annotated[
            bool | None, typer.Option("--verify-tls/--no-verify-tls", help=_("whether its certificate is checked"))
        ] = None,
        ca: Annotated[typer.FileText | None, typer.Option(help=_("a file with certificates of its issuer"))] = None,
        provider: Annotated[str | None, typer.Option(help=_("its name, for people"))] = None,
        enabled: Annotated[bool | None, typer.Option("--enabled/--disabled", help=_("whether it is asked"))] = None,
    ) -> None:
        from aaad.cli import line_drivers

        typed = {
            "url": url, "method": method, "body": body, "expected_pointer": expected_pointer,
            "expected_text": expected_text, "read_url": read_url, "read_method": read_method, "read_body": read_body,
            "read_pointer": read_pointer, "provider": provider, "ca": None if ca is None else ca.read().strip(),
        }  # fmt: skip
        maps = {"codes": codes, "meanings": meanings}
        values = {
            "is_toggle": toggle, "timeout_s": timeout, "settle_s": settle, "verify_tls": verify_tls,
            "enabled": enabled,
        }  # fmt: skip
        words = line_drivers.Typed(typed, maps, values, tuple(header or ()), expected_status, secret)
        end(terminal, lambda: line_drivers.set_driver(terminal, kind, words))
