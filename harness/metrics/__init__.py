"""What a run exports while it goes on: counts, latencies, faults and its verdict.

`catalogue` names the metrics, `live` reads them out of run directories, `exporter` hands them to
Prometheus and OpenTelemetry, whose libraries are extras. docs/metrics.md is for readers.
"""
