"""The numbers for Prometheus, put together when they are asked for: from the ledger, the guard and this process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

import psutil
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

import ringfence
from ringfence.alert.kinds import KINDS
from ringfence.errors import RingfenceError
from ringfence.live import Figures, Latency

if TYPE_CHECKING:
    from ringfence.web.web import Web

CONTENT: Final = "text/plain; version=0.0.4; charset=utf-8"
PREFIX: Final = "ringfence_"


def metrics_text(web: Web) -> bytes:
    """Everything, in Prometheus' text format 0.0.4. Raises LedgerError."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Numbers(web))
    return generate_latest(registry)


class Numbers(Collector):
    """Collects the numbers of one server."""

    def __init__(self, web: Web) -> None:
        self._web = web

    def describe(self) -> Iterable[Metric]:
        """Nothing beforehand: what there is depends on what happened."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All numbers. Raises LedgerError."""
        yield from self._of_ledger()
        try:
            figures = self._web.guard.ask_for_page(Figures, "figures")
        except RingfenceError:
            yield _gauge("guard_up", "Whether the guard answers.", 0)
            yield _gauge("guarded", "Whether everything is guarded.", 0)
        else:
            yield _gauge("guard_up", "Whether the guard answers.", 1)
            yield from _of_guard(figures)
        yield from self._of_page()

    def _of_ledger(self) -> Iterator[Metric]:
        ledger = self._web.readers.ledger()
        totals = ledger.totals()
        attempts = _counter("attempts", "Failed logins since the statistics were reset.", ["service"])
        successes = _counter("successes", "Successful logins since the statistics were reset.", ["service"])
        bans = _counter("bans", "Bans ever made; rule is empty for those by hand.", ["service", "rule"])
        for family, counted in ((attempts, totals.attempts), (successes, totals.successes)):
            for service, count in sorted(counted.items()):
                family.add_metric([service], count)
        made: Counter[tuple[str, str]] = Counter()
        for one in totals.bans:
            made[one.service, one.author.removeprefix("rule:") if one.author.startswith("rule:") else ""] += one.bans
        for labels, count in sorted(made.items()):
            bans.add_metric(list(labels), count)
        running = GaugeMetricFamily(PREFIX + "bans_running", "Bans that run.", labels=["service"])
        for service, count in sorted(ledger.service_counts().items()):
            running.add_metric([service], count)
        yield from (attempts, successes, bans, running)
        warnings = GaugeMetricFamily(PREFIX + "warnings", "Warnings that nobody acknowledged.", labels=["kind"])
        by_kind = ledger.unacknowledged_by_kind()
        for kind in sorted({*KINDS, *by_kind}):
            warnings.add_metric([kind], by_kind.get(kind, 0))
        messages = _counter(
            "messages", "Messages about warnings since the statistics were reset; suppressed: warnings, told nobody.",
            ["service", "outcome"],
        )  # fmt: skip
        for service, counts in sorted(totals.messages.items()):
            for outcome, count in zip(("sent", "failed", "suppressed"), counts, strict=True):
                messages.add_metric([service, outcome], count)
        yield from (warnings, messages)

    def _of_page(self) -> Iterator[Metric]:
        web, process = self._web, psutil.Process()
        times = process.cpu_times()
        latency = HistogramMetricFamily(
            PREFIX + "web_seconds", "From a request to the beginning of its answer.", labels=["kind"]
        )
        for kind in sorted(web.latencies.counts):
            latency.add_metric([kind], web.latencies.cumulative(kind), web.latencies.sums[kind])
        yield latency
        yield _gauge("web_streams", "Streams of server-sent events that are open.", web.live.streams)
        yield _gauge("web_sessions", "Logins of the page that run.", web.sessions.count(web.clock()))
        yield _gauge("web_resident_bytes", "Memory of the page's process.", process.memory_info().rss)
        yield _counted("web_cpu_seconds", "Processor time of the page's process.", times.user + times.system)
        yield _gauge("web_start_time_seconds", "When the page's process began, seconds UTC.", web.started)
        yield InfoMetricFamily(PREFIX + "build", "The version.", value={"version": ringfence.__version__})


def _of_guard(figures: Figures) -> Iterator[Metric]:
    yield _gauge("guarded", "Whether everything is guarded.", figures.guarded)
    yield _gauge("blocks", "Whether bans are enforced at all.", figures.blocks)
    yield _gauge("bans_missing", "Running bans that are not known to be in force.", figures.missing_bans)
    yield _gauge("bans_capacity", "Bans that may run at once.", figures.bans_capacity)
    yield _gauge("trials", "Changes that undo themselves unless confirmed.", figures.trials)
    queues = GaugeMetricFamily(PREFIX + "queue_length", "What waits.", labels=["queue"])
    queues.add_metric(["bans"], figures.waiting_bans)
    queues.add_metric(["sightings"], figures.held_sightings)
    queues.add_metric(["names"], figures.names_waiting)
    yield queues
    yield _enforcement(figures.latency)
    lag = GaugeMetricFamily(PREFIX + "source_lag_bytes", "Bytes of a log that are still unread.", labels=["source"])
    trouble = GaugeMetricFamily(PREFIX + "source_trouble", "Whether something is wrong with a log.", labels=["source"])
    lines = _counter("source_lines", "Lines read since the guard began.", ["source"])
    matched = _counter("source_matched", "Lines that told of a login since the guard began.", ["source"])
    for row in figures.sources:
        lag.add_metric([row.source], row.lag)
        trouble.add_metric([row.source], bool(row.trouble))
        lines.add_metric([row.source], row.lines)
        matched.add_metric([row.source], row.events)
    yield from (lag, trouble, lines, matched)


def _enforcement(latency: Latency) -> Metric:
    family = HistogramMetricFamily(
        PREFIX + "enforcement_seconds", "From reading the deciding line until the kernel confirmed the ban."
    )
    finite = [(str(bucket.le), float(bucket.count)) for bucket in latency.buckets if bucket.le != float("inf")]
    family.add_metric([], [*finite, ("+Inf", float(latency.count))], latency.sum)
    return family


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(PREFIX + name, words, value=value)


def _counter(name: str, words: str, labels: list[str]) -> CounterMetricFamily:
    return CounterMetricFamily(PREFIX + name, words, labels=labels)


def _counted(name: str, words: str, value: float) -> Metric:
    return CounterMetricFamily(PREFIX + name, words, value=value)
