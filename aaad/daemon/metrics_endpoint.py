"""GET /metrics and GET /healthz: one collector renders every slot's counter file and the node's facts (rule R10).

The HTTP here is what a scraper needs and no more: one request per connection, bounded and timed by StreamServer,
never a second thread. Rendering reads files and /proc only; it waits for no database.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from aaad.daemon.metric_families import FAMILIES, SLOT, Family, Kind, kind_of
from aaad.daemon.node_facts import NodeFacts, gauges
from aaad.metrics import LATENCY_BUCKETS

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_UNDOCUMENTED = "Not described: see docs/metrics.md of the version that writes it."
_MICROSECONDS = 1e6


class NodeCollector(Collector):
    """Turns a node's counter files and facts into metric families."""

    def __init__(self, facts: Callable[[], NodeFacts]) -> None:
        """Ask `facts` at each scrape."""
        self._facts = facts

    def collect(self) -> Iterator[Metric]:
        """Yield every family once."""
        facts = self._facts()
        families: dict[str, Metric] = {}
        for slot, values in facts.counters.items():
            for family, labels, value in _plain_samples(slot, values or {}):
                _add(families, family, labels, value)
            for family, labels, buckets in _histograms(slot, values or {}):
                _add_histogram(families, family, labels, buckets)
        for gauge in gauges(facts):
            labels = dict(zip(FAMILIES[gauge.name].labels, gauge.labels, strict=True))
            _add(families, gauge.name, labels, gauge.value)
        yield from families.values()

    def render(self) -> bytes:
        """Return the text of /metrics."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return generate_latest(registry)


def _split(name: str) -> tuple[str, dict[str, str]]:
    """Return a counter's family and its labels: `family|label=value|…`."""
    family, *pairs = name.split("|")
    return family, {label: value for label, _, value in (pair.partition("=") for pair in pairs)}


def _plain_samples(slot: str, values: dict[str, int]) -> Iterator[tuple[str, dict[str, str], float]]:
    for name, value in values.items():
        if "%" not in name:
            family, labels = _split(name)
            in_seconds = family.removesuffix("_total").endswith("_seconds")
            yield family, {SLOT: slot, **labels}, value / _MICROSECONDS if in_seconds else value


def _histograms(slot: str, values: dict[str, int]) -> Iterator[tuple[str, dict[str, str], list[tuple[str, float]]]]:
    """Yield each histogram with cumulative buckets, as Prometheus wants them; the file's are not."""
    counts: dict[str, list[int]] = {}
    for name, value in values.items():
        if "%" in name:
            base, _, power = name.rpartition("%")
            counts.setdefault(base, [0] * LATENCY_BUCKETS)[int(power)] = value
    for base, buckets in counts.items():
        family, labels = _split(base)
        total = 0
        cumulative: list[tuple[str, float]] = []
        for exponent, count in enumerate(buckets):
            total += count
            is_last = exponent == LATENCY_BUCKETS - 1
            cumulative.append(("+Inf" if is_last else repr((1 << exponent) / _MICROSECONDS), total))
        yield family, {SLOT: slot, **labels}, cumulative


def _family(families: dict[str, Metric], name: str, labels: dict[str, str]) -> Metric:
    found = families.get(name)
    if found is None:
        meaning = FAMILIES.get(name, Family(tuple(labels), _UNDOCUMENTED)).meaning
        make = CounterMetricFamily if kind_of(name) is Kind.COUNTER else GaugeMetricFamily
        found = families[name] = make(name.removesuffix("_total"), meaning, labels=tuple(labels))
    return found


def _add(families: dict[str, Metric], name: str, labels: dict[str, str], value: float) -> None:
    _family(families, name, labels).add_sample(name, labels, value)


def _add_histogram(
    families: dict[str, Metric], name: str, labels: dict[str, str], buckets: Sequence[tuple[str, float]]
) -> None:
    found = families.get(name)
    if found is None:
        meaning = FAMILIES.get(name, Family(tuple(labels), _UNDOCUMENTED)).meaning
        found = families[name] = HistogramMetricFamily(name, meaning, labels=tuple(labels))
    for bound, count in buckets:
        found.add_sample(f"{name}_bucket", {**labels, "le": bound}, count)
    found.add_sample(f"{name}_count", labels, buckets[-1][1])


class HttpAnswer:
    """Answers one HTTP request: /metrics with the collector's text, /healthz with 200 or 503."""

    def __init__(
        self,
        metrics: Callable[[], bytes],
        problem: Callable[[], str | None],
        remarks: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        """`problem` tells why this node would not answer RADIUS now, None if it would; `remarks`, what else is so."""
        self._metrics = metrics
        self._problem = problem
        self._remarks = remarks

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read one request's head, write one answer."""
        head = await reader.readuntil(b"\r\n\r\n")
        method, _, rest = head.partition(b" ")
        path = rest.split(b" ", 1)[0].split(b"?", 1)[0]
        status, body = self._answer(method, path)
        content_type = CONTENT_TYPE if path == b"/metrics" else "text/plain; charset=utf-8"
        writer.write(
            f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
            "Connection: close\r\n\r\n".encode()
        )
        if method != b"HEAD":
            writer.write(body)

    def _answer(self, method: bytes, path: bytes) -> tuple[str, bytes]:
        if method not in (b"GET", b"HEAD"):
            return "405 Method Not Allowed", b"only GET and HEAD\n"
        if path == b"/metrics":
            return "200 OK", self._metrics()
        if path in (b"/healthz", b"/health"):
            problem = self._problem()
            if problem is not None:
                return "503 Service Unavailable", problem.encode() + b"\n"
            return "200 OK", "".join(f"{line}\n" for line in ("ok", *self._remarks())).encode()
        return "404 Not Found", b"/metrics and /healthz are here\n"
