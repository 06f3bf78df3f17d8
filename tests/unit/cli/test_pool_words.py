"""What is said of pools and leases."""

from aaad.cli.leases import mac_text
from aaad.cli.options import Options
from aaad.cli.pool_words import family_text, holders_text, kind_text, lease_state_text, span_text, state_text
from aaad.cli.terminal import Terminal
from aaad.pools.operate import Holder, Holders
from aaad.words import Language, Speaker

PORTUGUESE = Speaker(Language.PORTUGUESE)


def test_a_device_is_shown_by_its_mac_if_it_is_one() -> None:
    assert mac_text(0x020000000005) == "02:00:00:00:00:05"
    assert mac_text(1 << 62 | 5) is None
    assert mac_text(0) is None
    assert mac_text(None) is None


def test_every_state_and_kind_has_its_words() -> None:
    assert kind_text(PORTUGUESE, "radius") == "entregue aqui (RAD)"
    assert state_text(PORTUGUESE, "draining") == "em esvaziamento"
    assert family_text(PORTUGUESE, "delegated") == "IPv6 delegado"
    assert family_text(PORTUGUESE, None) == ""
    assert lease_state_text(PORTUGUESE, "bound") == "em uso"


def test_a_span_of_one_address_is_that_address() -> None:
    assert span_text("192.0.2.1", "192.0.2.1") == "192.0.2.1"
    assert span_text("192.0.2.1", "192.0.2.9") == "192.0.2.1-192.0.2.9"


def test_the_first_few_are_told_and_how_many_more() -> None:
    def holder(address: str, state: str, login: str | None, client: str | None, nas: str | None = None) -> Holder:
        return Holder(address, state, 7 if login else None, login, client, nas, None, None)

    few = [
        holder("192.0.2.1/32", "bound", "ana", "Ana Souza"),
        holder("192.0.2.2/32", "released", "bia", "Bia"),
        holder("192.0.2.3/32", "foreign", None, None, "bng-centro"),
    ]
    told = holders_text(Terminal(Options(language="en")), Holders(few, 9))
    assert told == (
        "192.0.2.1/32 (ana, Ana Souza); 192.0.2.2/32 (of bia until a moment ago); "
        "192.0.2.3/32 (a concentrator reports it: bng-centro); and 6 more"
    )
