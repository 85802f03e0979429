"""Metrics for Prometheus, by its own client library: a port to scrape, or a text file."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from prometheus_client import CollectorRegistry, start_http_server, write_to_textfile
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from harness.errors import EnvironmentFailure
from harness.metrics.catalogue import BOUNDS_S
from harness.metrics.live import Distribution, LiveMetrics, Reading

_BOUNDS = [*map(str, BOUNDS_S), "+Inf"]
ALL_ADDRESSES = "*"


class LiveCollector:
    """What Prometheus' client library asks when it is scraped."""

    def __init__(self, live: LiveMetrics) -> None:
        self._live = live

    def collect(self) -> Iterable[Metric]:
        """One family for each metric of the catalogue."""
        return [family(reading) for reading in self._live.read()]

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not read a run."""
        return []


def family(reading: Reading) -> Metric:
    """A reading as the client library has it."""
    spec = reading.spec
    if spec.kind == "histogram":
        histogram = HistogramMetricFamily(
            spec.prometheus, spec.description, labels=list(spec.labels)
        )
        for labels, each in sorted(reading.distributions.items()):
            histogram.add_metric(list(labels), buckets(each), sum_value=each.sum_s)
        return histogram
    kind = CounterMetricFamily if spec.kind == "counter" else GaugeMetricFamily
    found = kind(spec.prometheus, spec.description, labels=list(spec.labels))
    for labels, value in sorted(reading.values.items()):
        found.add_metric(list(labels), value)
    return found


def buckets(each: Distribution) -> list[tuple[str, float]]:
    """(upper bound, how many values up to it) of each bucket."""
    return list(zip(_BOUNDS, np.cumsum(each.counts).astype(float).tolist(), strict=True))


def registry(live: LiveMetrics) -> CollectorRegistry:
    """A registry with these metrics and none of the process."""
    made = CollectorRegistry(auto_describe=False)
    made.register(LiveCollector(live))
    return made


class ScrapePort:
    """A server that answers scrapes."""

    def __init__(self, live: LiveMetrics, host: str, port: int) -> None:
        address = "0.0.0.0" if host == ALL_ADDRESSES else host
        try:
            self._server, self._thread = start_http_server(
                port, addr=address, registry=registry(live)
            )
        except OSError as error:
            raise EnvironmentFailure(
                f"--metrics-port {port}: {host}:{port} cannot be served ({error.strerror}). "
                "Choose another port."
            ) from None
        self._closed = threading.Event()

    def close(self) -> None:
        """End. Safe to call again."""
        if not self._closed.is_set():
            self._closed.set()
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()


def serve(live: LiveMetrics, host: str, port: int) -> ScrapePort:
    """Answer scrapes. Raises EnvironmentFailure when the port cannot be had."""
    return ScrapePort(live, host, port)


def write_textfile(live: LiveMetrics, path: Path) -> None:
    """Write the file whole or not at all, as node_exporter's textfile collector reads it.

    Raises EnvironmentFailure when it cannot be written.
    """
    try:
        write_to_textfile(str(path), registry(live))
    except OSError as error:
        raise EnvironmentFailure(
            f"--metrics-textfile {path}: cannot be written ({error.strerror})."
        ) from None
