"""Who goes first, and for how long: by values, and by what the kernel says of a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from aaad.daemon.priority import CALM_S, LOOK_EVERY_S, Going, leaves_room


@pytest.mark.parametrize(
    ("processes", "processors", "is_room"),
    [(1, 1, False), (1, 2, True), (2, 2, False), (3, 4, True), (64, 64, False)],
)
def test_a_processor_is_left_to_all_others(processes: int, processors: int, is_room: bool):
    assert leaves_room(processes, processors) is is_room


def looks(shares: list[float]) -> list[bool]:
    """Return what is decided at each look, of a thread that used these shares of a processor before them."""
    going, at_s, used_s, told = Going(100.0, 7.0), 100.0, 7.0, []
    for share in shares:
        at_s += LOOK_EVERY_S
        used_s += share * LOOK_EVERY_S
        told.append(going.may_be_first(at_s, used_s))
    return told


def test_who_has_little_to_do_goes_first():
    assert looks([0.0, 0.5, 0.7, 0.1]) == [True] * 4


def test_who_is_busy_steps_back_at_once_and_until_all_was_calm_for_long():
    calm = round(CALM_S / LOOK_EVERY_S)
    told = looks([0.2, 0.9] + [0.1] * (calm + 2))
    assert told[:2] == [True, False]
    assert told.index(True, 2) in (calm + 1, calm + 2)
    assert all(told[calm + 2 :])


def test_who_is_busy_now_and_then_does_not_come_back_meanwhile():
    assert looks([0.9, 0.1, 0.1, 0.1] * 20) == [False] * 80


_STEPS_BACK = """
import asyncio, os, time
from aaad.daemon import priority
async def main():
    stopping, seen = asyncio.Event(), []
    async with asyncio.TaskGroup() as group:
        group.create_task(priority.keep(stopping, 0))
        await asyncio.sleep(0)
        if os.sched_getscheduler(0) != os.SCHED_RR:
            os._exit(75)
        end_s = time.monotonic() + 3 * priority.LOOK_EVERY_S
        while time.monotonic() < end_s:
            sum(range(2000))
            await asyncio.sleep(0)
        seen.append(os.sched_getscheduler(0) == os.SCHED_OTHER)
        async with asyncio.timeout(20):
            while os.sched_getscheduler(0) != os.SCHED_RR:
                await asyncio.sleep(0.05)
        stopping.set()
    print(seen)
asyncio.run(main())
"""


def test_a_busy_process_steps_back_and_goes_first_again_later():
    ended = subprocess.run([sys.executable, "-c", _STEPS_BACK], capture_output=True, text=True, timeout=60)
    if ended.returncode == 75:
        pytest.skip("this machine lets nobody go first")
    assert ended.stdout == "[True]\n", ended.stderr


def test_who_may_not_go_first_serves_all_the_same():
    code = """
import asyncio, os
from aaad.daemon.priority import Turn, keep, take
os.setuid(65534)
async def main():
    stopping = asyncio.Event()
    asyncio.get_running_loop().call_later(0.2, stopping.set)
    await keep(stopping, 0)
    print(os.sched_getscheduler(0) == os.SCHED_OTHER)
print(take(Turn.FIRST))
asyncio.run(main())
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    if "setuid" in ended.stderr:
        pytest.skip("not root")
    assert ended.stdout == "False\nTrue\n", ended.stderr


@pytest.mark.parametrize("affinity", ["lambda _: {0}", "lambda _: os.stat('/nowhere')"])
def test_where_no_processor_is_left_to_others_or_nobody_tells_how_many_nobody_goes_first(affinity: str):
    code = f"""
import asyncio, os
from aaad.daemon.priority import keep
os.sched_getaffinity = {affinity}
async def main():
    stopping = asyncio.Event()
    asyncio.get_running_loop().call_later(0.2, stopping.set)
    await keep(stopping, 1)
    print(os.sched_getscheduler(0) == os.SCHED_OTHER)
asyncio.run(main())
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ended.stdout == "True\n", ended.stderr


def test_the_unit_allows_what_going_first_takes():
    unit = (Path(__file__).parents[3] / "systemd" / "aaad.service").read_text().splitlines()
    assert "RestrictRealtime=yes" not in unit
    assert {"LimitRTPRIO=1", "SystemCallFilter=setpriority sched_setscheduler"} <= set(unit)
