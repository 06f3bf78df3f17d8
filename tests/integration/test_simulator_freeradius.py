"""The simulator against FreeRADIUS, which knows nothing of us: every method gets through, what is wrong does not."""

from collections.abc import Iterator

import freeradius_oracle
import pytest
from simulated import simulated

from aaad.simulator.fleet import Nases, Subscribers
from aaad.simulator.methods import METHODS
from aaad.simulator.network import Server
from aaad.simulator.report import Report

pytestmark = pytest.mark.skipif(freeradius_oracle.PROGRAM is None, reason="FreeRADIUS is not installed: NOT COMPARED")
COUNT = 30
# FreeRADIUS takes no empty password, so that the MAC is said twice; it knows logins of DHCP with one space.
ALL = {
    name: Subscribers(count=COUNT, methods=(name,), mac_password=" " if name == "dhcp" else None) for name in METHODS
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A FreeRADIUS that knows the subscribers of all methods."""
    passwords = {
        one.name: one.secret.password for wish in ALL.values() if wish is not ALL["dhcp"] for one in wish.make()
    }
    passwords |= {f"João{number:02d}": "çãõ€ß" for number in range(COUNT)}
    with freeradius_oracle.freeradius(tmp_path_factory.mktemp("freeradius"), passwords) as (address, port):
        yield Server(address, port, port + 1)


def dialled(server: Server, subscribers: Subscribers, *, kind: str = "mikrotik-old", **nas: object) -> Report:
    return simulated([server], subscribers, Nases(count=2, kind=kind, **nas))


@pytest.mark.parametrize("method", [name for name in METHODS if name != "dhcp"])
def test_every_method_gets_through_and_its_server_proves_itself(server: Server, method: str) -> None:
    report = dialled(server, ALL[method], must_encrypt=True)
    sums = report.methods[method]
    assert (sums.dials, sums.accepts, sums.resends) == (COUNT, COUNT, 0)
    assert not sums.flaws
    assert not report.bad_replies


@pytest.mark.parametrize("method", ["pap", "chap", "mschap", "mschapv2"])
def test_accel_ppp_gets_through_likewise(server: Server, method: str) -> None:
    sums = dialled(server, ALL[method], kind="accel-ppp", must_encrypt=True).methods[method]
    assert (sums.accepts, sum(sums.flaws.values())) == (COUNT, 0)


@pytest.mark.parametrize("method", ["pap", "chap", "mschap", "mschapv2"])
def test_passwords_beyond_ascii(server: Server, method: str) -> None:
    wish = Subscribers(count=COUNT, methods=(method,), names="João%02d", passwords="çãõ€ß")
    sums = dialled(server, wish, must_encrypt=True).methods[method]
    assert (sums.accepts, sum(sums.flaws.values())) == (COUNT, 0)


@pytest.mark.parametrize("method", ["pap", "chap", "mschap", "mschapv2", "hotspot", "router"])
def test_a_wrong_password_is_refused(server: Server, method: str) -> None:
    sums = dialled(server, Subscribers(count=COUNT, methods=(method,), passwords="wrong%06d")).methods[method]
    assert (sums.accepts, sums.rejects) == (0, COUNT)


def test_a_wrong_secret_is_seen_in_bad_replies_and_nobody_gets_through(server: Server) -> None:
    """Network facts, 1.1: with CHAP a wrong secret shows on the router as bad replies."""
    report = dialled(server, Subscribers(count=4, methods=("chap",)), secrets="other")
    sums = report.methods["chap"]
    assert (sums.accepts, sums.given_up, sums.resends, sums.bad_replies) == (0, 4, 8, 12)
    assert report.bad_replies == {"wrong Response Authenticator": 12}


def test_a_signed_request_is_believed_and_its_unsigned_reply_is_not(server: Server) -> None:
    """FreeRADIUS 3.2.1 does not sign its replies: a router that requires it takes none."""
    wish = Subscribers(count=2, methods=("pap",))
    report = simulated([server], wish, Nases(kind="mikrotik"))
    assert report.methods["pap"].accepts == 0
    assert report.bad_replies == {"no Message-Authenticator": 6}
