"""What is typed for `aaad simulate` about concentrators."""

import pytest

from aaad.cli.simulate import nases_of
from aaad.errors import MistypedError
from aaad.simulator.temper import OBEDIENT, Temper


def test_how_orders_are_taken_is_typed() -> None:
    words = ["coa:nak=401", "disconnect:late=2*3"]
    (nas,) = nases_of(1, "mikrotik", "s", "", ["cookies", "lists-by-coa"], order_port=3799, orders=words).make()
    assert (nas.coa, nas.disconnect) == (Temper(nak=401), Temper(late_s=2.0, times=3))
    assert (nas.has_cookies, nas.coa_takes_lists, nas.order_port) == (True, True, 3799)
    (usual,) = nases_of(1, "mikrotik", "s", "").make()
    assert (usual.coa, usual.disconnect, usual.has_cookies) == (OBEDIENT, OBEDIENT, False)


def test_another_word_is_refused() -> None:
    with pytest.raises(MistypedError, match="--orders"):
        nases_of(1, "mikrotik", "s", "", orders=["never"])
