"""Pure: whether the drain kept up and memory stayed flat, and the tables of a steady load."""

from collections.abc import Sequence
from dataclasses import dataclass

import report

LAG_MAX_S = 5.0  # of the load; more may never wait
_LEAST_RATE = 0.99  # of the rate asked for
_GROWTH_MAX = 0.05
_GROWTH_MAX_OCTETS = 2 << 20
_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Sample:
    """One look. Memory is private pages in octets: of each of the node's processes, of PostgreSQL's together."""

    at_s: float  # since the load began
    undrained: int
    watermark_age_s: float
    memory: dict[str, int]
    pids: dict[str, int]


@dataclass(frozen=True, slots=True)
class Steady:
    """What a steady load brought: the generator's figures, the looks, and how it ended."""

    rate_per_s: float
    row: report.Row
    samples: list[Sample]
    drained_after_s: float  # from the end of the load to an empty spool
    missing: int  # acknowledged records that no session tells of


def lag_s(steady: Steady, sample: Sample) -> float:
    """Return how many seconds of the load were not in PostgreSQL yet."""
    return sample.undrained / steady.rate_per_s


def complaints(steady: Steady) -> list[str]:
    """Return what went wrong with the load or the drain; nothing: it kept up."""
    found = []
    longest = max((lag_s(steady, sample) for sample in steady.samples), default=0.0)
    if longest > LAG_MAX_S:
        found.append(f"up to {longest:.1f} s of the load waited for the drain")
    if steady.drained_after_s > LAG_MAX_S:
        found.append(f"the drain needed {steady.drained_after_s:.1f} s after the load")
    records_per_s = steady.row["acct_response"] / steady.row["seconds"] if steady.row["seconds"] else 0.0
    if records_per_s < _LEAST_RATE * steady.rate_per_s:
        found.append(f"only {records_per_s:,.0f} records a second were acknowledged")
    for key in ("lost", "bad", "unexpected"):
        if steady.row[key]:
            found.append(f"{steady.row[key]} answers {key}")
    if steady.missing:
        found.append(f"{steady.missing} acknowledged records are in no session")
    return found + [f"{name} was started again" for name in restarted(steady.samples)]


def restarted(samples: Sequence[Sample]) -> list[str]:
    """Return the processes that are not the ones of the first look."""
    if not samples:
        return []
    return sorted(name for name, pid in samples[0].pids.items() if any(s.pids.get(name) != pid for s in samples))


def growth(samples: Sequence[Sample], name: str) -> tuple[float, float]:
    """Return a process's mean memory in the second and in the last fifth of the time: before, caches fill."""
    fifth = len(samples) // 5
    return _mean(samples[fifth : 2 * fifth], name), _mean(samples[len(samples) - fifth :], name)


def is_flat(before: float, after: float) -> bool:
    """Whether that is no growth: at most 5 %, or 2 MiB."""
    return after - before <= max(_GROWTH_MAX * before, _GROWTH_MAX_OCTETS)


def _mean(samples: Sequence[Sample], name: str) -> float:
    return sum(sample.memory.get(name, 0) for sample in samples) / len(samples) if samples else 0.0


def time_table(steady: Steady) -> list[str]:
    """Return the looks at some instants, the last one included: what waits, the watermark, memory."""
    if not steady.samples:
        return ["Too short for a look."]
    names = sorted(steady.samples[-1].memory)
    lines = ["| at s | undrained | watermark's age s | " + " | ".join(f"{name} MiB" for name in names) + " |"]
    lines += ["|---" * (len(names) + 3) + "|"]
    step = max(1, len(steady.samples) // _SHOWN)
    for sample in reversed(steady.samples[::-1][::step]):
        memory = " | ".join(f"{sample.memory.get(name, 0) / 2**20:.1f}" for name in names)
        lines.append(f"| {sample.at_s:.0f} | {sample.undrained:,} | {sample.watermark_age_s:.1f} | {memory} |")
    return lines


def summary(steady: Steady) -> list[str]:
    """Return the figures of the load and of what waited, as a list."""
    row, waited = steady.row, sorted(sample.undrained for sample in steady.samples) or [0]
    told = row.get("lat_acct", row)  # of accounting alone, where logins were asked too
    age_s = max((sample.watermark_age_s for sample in steady.samples), default=0.0)
    load = f"{row['acct_response']:,} records acknowledged in {row['seconds']:,.0f} s"
    trouble = f"resent {row['retransmits']}, lost {row['lost']}, missing {steady.missing}"
    longest_s = waited[-1] / steady.rate_per_s
    waiting = f"median {waited[len(waited) // 2]:,}, most {waited[-1]:,} ({longest_s:.2f} s of the load)"
    return [
        f"* {load}; {trouble}.",
        f"* Answers: p50 {told['p50']:.2f} ms, p99 {told['p99']:.2f} ms, p99.9 {told['p999']:.2f} ms.",
        f"* Records not yet in PostgreSQL: {waiting}; the last came {steady.drained_after_s:.2f} s after the load.",
        f"* The watermark's age was at most {age_s:.1f} s, of which 5 s are its margin.",
    ]


def memory_table(samples: Sequence[Sample]) -> list[str]:
    """Return each process's memory in the second and the last fifth, with a verdict."""
    lines = ["| process | second fifth, MiB | last fifth, MiB | |", "|---|---|---|---|"]
    for name in sorted(samples[0].memory) if samples else ():
        before, after = growth(samples, name)
        verdict = "told only" if name == "postgres" else "flat" if is_flat(before, after) else "**grows**"
        lines.append(f"| {name} | {before / 2**20:.1f} | {after / 2**20:.1f} | {verdict} |")
    return lines


def growing(samples: Sequence[Sample]) -> list[str]:
    """Return the node's processes whose memory grows; PostgreSQL's is its own affair."""
    names = samples[0].memory.keys() - {"postgres"} if samples else ()
    return sorted(name for name in names if not is_flat(*growth(samples, name)))
