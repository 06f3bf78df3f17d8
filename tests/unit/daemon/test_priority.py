"""Who goes first, and for how long: by values, and by what the kernel says of a process of its own."""

import subprocess
import sys
from pathlib import Path
from textwrap import dedent, indent

import pytest

from aaad.daemon.priority import CALM_S, LOOK_EVERY_S, LOOK_OFTEN_EVERY_S, Going, leaves_room


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


def test_a_short_burst_is_no_reason_to_step_back_and_a_long_one_is():
    going, at_s, used_s, told = Going(100.0, 7.0), 100.0, 7.0, []
    for share in (0.5, 1.0, 1.0, 0.5, 1.0, 1.0, 1.0, 0.5):
        at_s, used_s = at_s + LOOK_OFTEN_EVERY_S, used_s + share * LOOK_OFTEN_EVERY_S
        told.append(going.may_be_first(at_s, used_s))
    assert told == [True] * 6 + [False] * 2


def test_who_is_at_work_is_looked_at_more_often():
    going = Going(100.0, 7.0)
    assert going.look_after_s == LOOK_EVERY_S
    going.may_be_first(100.1, 7.02)
    assert going.look_after_s == LOOK_OFTEN_EVERY_S
    going.may_be_first(100.12, 7.021)
    assert going.look_after_s == LOOK_EVERY_S


def test_who_is_busy_now_and_then_does_not_come_back_meanwhile():
    assert looks([0.9, 0.1, 0.1, 0.1] * 20) == [False] * 80


# A process of its own that may go first: what it prints is what became of it.
_PROCESS = """
import asyncio, os, sys, tempfile, threading, time
from pathlib import Path
from aaad.daemon import priority
from aaad.metrics import CounterFile
BEFORE
counters = CounterFile(Path(tempfile.mkdtemp()) / "counters", [priority.FIRST_THREADS])
told = []
class Log:
    def info(self, event, cause):
        told.append((event, cause))
def policy(thread=0):
    return {os.SCHED_RR: "first", os.SCHED_OTHER: "ordinary"}[os.sched_getscheduler(thread) & ~os.SCHED_RESET_ON_FORK]
async def becomes(wanted, thread=0):
    async with asyncio.timeout(20):
        while policy(thread) != wanted:
            await asyncio.sleep(0.005)
def work(seconds):
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        sum(range(2000))
async def main():
    stopping, ended, helper = asyncio.Event(), threading.Event(), {"thread": None}
    thread = threading.Thread(target=ended.wait)
    thread.start()
    async with asyncio.TaskGroup() as group:
        keeping = group.create_task(
            priority.keep(stopping, PROCESSES, lambda: helper["thread"], counters, Log())
        )
STEPS
        stopping.set()
    ended.set()
asyncio.run(main())
"""
_MAY_GO_FIRST = "import os; os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))"


def run(steps: str, *, before: str = "", processes: int = 0) -> list[str]:
    """Return the lines that a process prints which runs these steps while it keeps its turn."""
    code = _PROCESS.replace("BEFORE", before).replace("PROCESSES", str(processes))
    code = code.replace("STEPS", indent(dedent(steps), " " * 8))
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    if "setuid" in ended.stderr:
        pytest.skip("not root")
    assert not ended.returncode, ended.stderr
    return ended.stdout.splitlines()


@pytest.fixture(scope="module")
def may_go_first() -> None:
    if subprocess.run([sys.executable, "-c", _MAY_GO_FIRST], capture_output=True).returncode:
        pytest.skip("this machine lets nobody go first")


@pytest.mark.usefixtures("may_go_first")
def test_a_busy_process_steps_back_and_goes_first_again_later():
    steps = """
    await becomes("first")
    for _ in range(15):
        work(0.02)
        await asyncio.sleep(0)
    print(policy())
    await becomes("first")
    """
    assert run(steps) == ["ordinary"]


@pytest.mark.usefixtures("may_go_first")
def test_who_works_in_bursts_steps_back_too():
    """70 of each 100 ms at a stretch are more than others can wait for."""
    steps = """
    await becomes("first")
    for _ in range(4):
        for _ in range(7):
            work(0.01)
            await asyncio.sleep(0)
        await asyncio.sleep(0.03)
    print(policy())
    """
    assert run(steps) == ["ordinary"]


@pytest.mark.usefixtures("may_go_first")
def test_what_serving_begins_with_costs_nobody_his_turn():
    steps = """
    used_s = 0.0
    priority.clock.thread_s = lambda: used_s
    await asyncio.sleep(0)
    print(policy())
    time.sleep(0.3)
    used_s = 0.3
    began_s = time.monotonic()
    await becomes("first")
    print(time.monotonic() - began_s < priority.CALM_S / 2)
    """
    assert run(steps) == ["ordinary", "True"]


@pytest.mark.usefixtures("may_go_first")
def test_the_helper_goes_first_once_there_is_one_and_stays_so_while_the_other_is_busy():
    steps = """
    await becomes("first")
    print(policy(thread.native_id), counters.cells[0])
    helper["thread"] = thread.native_id
    await becomes("first", thread.native_id)
    print(counters.cells[0])
    for _ in range(15):
        work(0.02)
        await asyncio.sleep(0)
    print(policy(), policy(thread.native_id), counters.cells[0])
    """
    assert run(steps) == ["ordinary 1", "2", "ordinary first 1"]


@pytest.mark.usefixtures("may_go_first")
@pytest.mark.parametrize("end", ["stopping.set()\nawait keeping", "keeping.cancel()\nawait asyncio.wait([keeping])"])
def test_at_the_end_all_step_back_for_what_is_still_to_be_done(end: str):
    steps = f"""
    helper["thread"] = thread.native_id
    await becomes("first")
    await becomes("first", thread.native_id)
    {indent(end, "    ").lstrip()}
    print(policy(), policy(thread.native_id), counters.cells[0])
    """
    assert run(steps) == ["ordinary ordinary 0"]


@pytest.mark.usefixtures("may_go_first")
def test_who_starts_a_thread_while_he_goes_first_starts_an_ordinary_one():
    steps = """
    await becomes("first")
    print(await asyncio.to_thread(policy))
    """
    assert run(steps) == ["ordinary"]


@pytest.mark.usefixtures("may_go_first")
def test_who_loses_the_others_processor_steps_back_and_goes_first_again_when_it_is_back():
    steps = """
    helper["thread"] = thread.native_id
    all = {0, 1}
    os.sched_getaffinity = lambda _: all
    await becomes("first", thread.native_id)
    all = {0}
    await becomes("ordinary")
    await becomes("ordinary", thread.native_id)
    print(told)
    all = {0, 1}
    await becomes("first")
    print(told[1:])
    """
    lost = "('role.not_first', 'no processor would be left to all others')"
    assert run(steps, processes=1) == [f"[{lost}]", "[('role.goes_first', None)]"]


def test_who_may_not_go_first_serves_all_the_same_and_says_so_once():
    steps = """
    priority.TRY_AGAIN_S = 0.01
    await asyncio.sleep(0.3)
    print(priority.take(priority.Turn.FIRST), policy(), told, counters.cells[0])
    """
    refused = "('role.not_first', 'the kernel does not allow it (LimitRTPRIO, CAP_SYS_NICE)')"
    assert run(steps, before="os.setuid(65534)") == [f"False ordinary [{refused}] 0"]


@pytest.mark.parametrize("affinity", ["lambda _: {0}", "lambda _: os.stat('/nowhere')"])
def test_where_no_processor_is_left_to_others_or_nobody_tells_how_many_nobody_goes_first(affinity: str):
    steps = """
    await asyncio.sleep(0.3)
    print(policy(), told)
    """
    cause = "('role.not_first', 'no processor would be left to all others')"
    assert run(steps, before=f"import os; os.sched_getaffinity = {affinity}\n", processes=1) == [
        f"ordinary [{cause}]"
    ]


def test_the_unit_allows_what_going_first_takes():
    unit = (Path(__file__).parents[3] / "systemd" / "aaad.service").read_text().splitlines()
    assert "RestrictRealtime=yes" not in unit
    assert {"LimitRTPRIO=1", "SystemCallFilter=setpriority sched_setscheduler"} <= set(unit)
