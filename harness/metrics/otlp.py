"""Metrics for OpenTelemetry: the SDK's data model, sent by its OTLP exporter over HTTP.

The SDK's instruments take one value a call. Latencies are counted already, in HDR histograms, so
the SDK's data points are filled with those counts instead.
"""

from __future__ import annotations

import time
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from harness.metrics.catalogue import BOUNDS_S
from harness.metrics.live import LiveMetrics, Reading
from harness.version import __version__

PATH: Final = "/v1/metrics"
SERVICE: Final = "delivery-harness"
TIMEOUT_S: Final = 10.0


class OtlpSender:
    """Sends every metric to one collector."""

    def __init__(self, live: LiveMetrics, endpoint: str) -> None:
        """endpoint: http://HOST:PORT of a collector; empty: as the OTEL_ variables say."""
        self._live = live
        self._begun_ns = time.time_ns()
        named = Resource.create({"service.name": SERVICE, "service.version": __version__})
        # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win.
        self._resource = named.merge(OTELResourceDetector().detect())
        self._scope = InstrumentationScope("harness.metrics", __version__)
        self._exporter = (
            OTLPMetricExporter(endpoint=f"{endpoint.rstrip('/').removesuffix(PATH)}{PATH}")
            if endpoint
            else OTLPMetricExporter()
        )

    def send(self) -> None:
        """Send the present values. A collector that does not answer is tried for TIMEOUT_S."""
        self._exporter.export(self.data(), timeout_millis=TIMEOUT_S * 1000)

    def close(self) -> None:
        """Send nothing more."""
        self._exporter.shutdown()

    def data(self) -> MetricsData:
        """Every metric that has a value, as the SDK has it."""
        now_ns = time.time_ns()
        metrics = [
            self._metric(each, now_ns)
            for each in self._live.read()
            if each.values or each.distributions
        ]
        return MetricsData(
            [ResourceMetrics(self._resource, [ScopeMetrics(self._scope, metrics, "")], "")]
        )

    def _metric(self, reading: Reading, now_ns: int) -> Metric:
        spec = reading.spec
        data: Any
        if spec.kind == "histogram":
            data = Histogram(
                [
                    HistogramDataPoint(
                        attributes=dict(zip(spec.labels, labels, strict=True)),
                        start_time_unix_nano=self._begun_ns,
                        time_unix_nano=now_ns,
                        count=int(each.counts.sum()),
                        sum=each.sum_s,
                        bucket_counts=each.counts.tolist(),
                        explicit_bounds=list(BOUNDS_S),
                        min=each.min_s,
                        max=each.max_s,
                    )
                    for labels, each in sorted(reading.distributions.items())
                ],
                AggregationTemporality.CUMULATIVE,
            )
        else:
            points = [
                NumberDataPoint(
                    attributes=dict(zip(spec.labels, labels, strict=True)),
                    start_time_unix_nano=self._begun_ns,
                    time_unix_nano=now_ns,
                    value=value,
                )
                for labels, value in sorted(reading.values.items())
            ]
            data = (
                Sum(points, AggregationTemporality.CUMULATIVE, is_monotonic=True)
                if spec.kind == "counter"
                else Gauge(points)
            )
        return Metric(name=spec.otel, description=spec.description, unit=spec.unit, data=data)
