"""Metrics of a run: what is exported is what its directory says, under names that exist."""

from __future__ import annotations

import json
import re
import socket
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from prometheus_client.parser import text_string_to_metric_families

from harness.errors import EnvironmentFailure, UsageError
from harness.metrics.catalogue import BOUNDS_S, CATALOGUE
from harness.metrics.exporter import MetricsPlan, check_metrics, exporting
from harness.profiles import load_builtin
from harness.rundir.events import FaultEvent, GeneratorEvent, IsrEvent, LeaderEvent, LoadEvent
from harness.rundir.latency import IntervalRecorder
from harness.rundir.run_dir import RunDir
from harness.rundir.verdict import BROKEN
from harness.rundir.verdict_file import read_verdict
from tests.support.made_up_run import make_info, make_run
from tests.support.manifests import K8S, ROOT, objects

DASHBOARD = K8S / "components" / "monitoring" / "harness-dashboard.json"
START_US = 1_772_360_100_000_000
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def samples(text: str) -> Samples:
    """(name, labels) → value of every sample of an exposition."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scraped(port: int) -> Samples:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return samples(answer.read().decode())


def of(found: Samples, name: str, **labels: str) -> float:
    return found[name, tuple(sorted(labels.items()))]


def empty_run(path: Path) -> RunDir:
    """A run of one profile that has only just begun."""
    run_dir = RunDir.create(path)
    run_dir.write_info(make_info([load_builtin()["idempotent"]]))
    return run_dir


def load_event(run_dir: RunDir, **counts: int) -> LoadEvent:
    profile = run_dir.read_info().profiles[0]
    fields: dict[str, Any] = {"attempted": 0, "acked": 0, "failed": 0, "unknown": 0, **counts}
    return LoadEvent(
        source="load",
        profile=profile.profile,
        topic=profile.topics[0],
        partition=0,
        from_us=START_US,
        to_us=START_US + 250_000,
        ack_ms_max=1.0,
        **fields,
    )


def test_a_scrape_says_what_the_timeline_of_a_whole_run_says(tmp_path: Path) -> None:
    run_dir, path = make_run(tmp_path / "run", verdict=BROKEN)
    told: Counter[str] = Counter()
    for event in run_dir.events(LoadEvent):
        if event.profile == "idempotent":
            told.update(attempts=event.attempted, acknowledged=event.acked)
    verdict = read_verdict(path)
    port = free_port()
    with exporting(MetricsPlan(port=port)) as exported:
        exported.begin(run_dir)
        before = scraped(port)
        exported.judged(verdict)
        after = scraped(port)
    who = {"profile": "idempotent", "role": "subject"}
    for name in ("attempts", "acknowledged"):
        assert told[name] > 0
        assert of(before, f"delivery_{name}_total", **who) == told[name]
        # Judging looks once more, and counts nothing twice.
        assert of(after, f"delivery_{name}_total", **who) == told[name]
    assert not any(name == "delivery_run_verdict" for name, _ in before)
    assert of(after, "delivery_run_verdict", verdict="broken") == 1
    assert of(after, "delivery_runs_total", verdict="broken") == 1
    assert of(after, "delivery_anomalies_total", anomaly="duplicate", **who) == 2
    promise = {"promise": "no_duplicate", "verdict": "broken"}
    assert of(after, "delivery_promise_verdict", **who, **promise) == 1
    exposed = {name for spec in CATALOGUE for name in spec.exposed}
    assert {name for name, _ in after} <= exposed


def test_what_is_appended_shows_in_the_next_scrape(tmp_path: Path) -> None:
    run_dir = empty_run(tmp_path / "run")
    who = {"profile": "idempotent", "role": "subject"}
    port = free_port()
    with exporting(MetricsPlan(port=port)) as exported:
        exported.begin(run_dir)
        assert of(scraped(port), "delivery_attempts_total", **who) == 0
        run_dir.append(load_event(run_dir, attempted=5, acked=3, failed=1, unknown=1))
        run_dir.append(load_event(run_dir, attempted=2))
        run_dir.append(GeneratorEvent(source="load", lag_ms_max=12.5))
        found = scraped(port)
    assert of(found, "delivery_attempts_total", **who) == 7
    assert of(found, "delivery_acknowledged_total", **who) == 3
    assert of(found, "delivery_failed_total", **who) == 1
    assert of(found, "delivery_unknown_total", **who) == 1
    assert of(found, "delivery_generator_lag_seconds") == 0.0125


def test_a_fault_is_active_from_its_injection_until_it_is_healed(tmp_path: Path) -> None:
    run_dir = empty_run(tmp_path / "run")
    topic = run_dir.read_info().profiles[0].topics[0]
    who = {"profile": "idempotent", "role": "subject"}
    port = free_port()

    def fault(phase: Any) -> FaultEvent:
        return FaultEvent(source="chaos", fault_id="f1", fault="kill_leader", phase=phase)

    def leader(number: int, epoch: int) -> LeaderEvent:
        return LeaderEvent(
            source="observer", topic=topic, partition=0, leader=number, leader_epoch=epoch
        )

    def isr(*brokers: int) -> IsrEvent:
        return IsrEvent(source="observer", topic=topic, partition=0, isr=list(brokers))

    with exporting(MetricsPlan(port=port)) as exported:
        exported.begin(run_dir)
        run_dir.append(leader(1, 0), isr(1, 2, 3), fault("inject"))
        assert not any(name == "delivery_faults_active" for name, _ in scraped(port))
        run_dir.append(fault("injected"), leader(-1, 0), isr(2, 3), leader(2, 1))
        during = scraped(port)
        run_dir.append(isr(1, 2, 3), fault("healed"))
        after = scraped(port)
    assert of(during, "delivery_faults_active", fault="kill_leader") == 1
    assert of(during, "delivery_under_replicated_partitions", **who) == 1
    assert of(during, "delivery_leader_changes_total", **who) == 1
    assert of(after, "delivery_faults_active", fault="kill_leader") == 0
    assert of(after, "delivery_faults_injected_total", fault="kill_leader") == 1
    assert of(after, "delivery_under_replicated_partitions", **who) == 0


def test_latencies_fall_into_the_buckets_that_their_values_belong_to(tmp_path: Path) -> None:
    run_dir = empty_run(tmp_path / "run")
    values = np.array([500, 1_000, 4_000, 70_000_000], dtype=np.int64)
    with IntervalRecorder(run_dir.latency / "idempotent.ack.1.hlog", START_US) as log:
        log.record(np.full(len(values), START_US), values)
    port = free_port()
    with exporting(MetricsPlan(port=port)) as exported:
        exported.begin(run_dir)
        found, again = scraped(port), scraped(port)
    who = {"profile": "idempotent", "role": "subject"}
    name = "delivery_ack_latency_seconds"
    assert found == again
    assert of(found, f"{name}_count", **who) == 4
    assert of(found, f"{name}_sum", **who) == pytest.approx(values.sum() / 1e6, rel=1e-3)
    bounds = ("0.001", "0.005", "60.0")
    upto = {bound: of(found, f"{name}_bucket", le=bound, **who) for bound in bounds}
    assert upto == {"0.001": 2, "0.005": 3, "60.0": 3}
    assert of(found, f"{name}_bucket", le="+Inf", **who) == 4


def test_counters_of_a_series_never_fall_back(tmp_path: Path) -> None:
    first, second = empty_run(tmp_path / "run-1"), empty_run(tmp_path / "run-2")
    who = {"profile": "idempotent", "role": "subject"}
    port = free_port()
    with exporting(MetricsPlan(port=port)) as exported:
        exported.begin(first)
        first.append(load_event(first, attempted=5))
        exported.begin(second)
        second.append(load_event(second, attempted=2))
        assert of(scraped(port), "delivery_attempts_total", **who) == 7


def test_the_text_file_holds_the_verdict_once_the_run_is_over(tmp_path: Path) -> None:
    run_dir, path = make_run(tmp_path / "run", verdict=BROKEN)
    file = tmp_path / "harness.prom"
    with exporting(MetricsPlan(textfile=file)) as exported:
        assert file.exists()
        exported.begin(run_dir)
        exported.judged(read_verdict(path))
    found = samples(file.read_text())
    assert of(found, "delivery_run_verdict", verdict="broken") == 1
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith("harness.prom")] == [
        "harness.prom"
    ]


@contextmanager
def collector() -> Iterator[tuple[str, list[tuple[str, ExportMetricsServiceRequest]]]]:
    """A collector by OTLP over HTTP: its address, and (path, request) of what it got."""
    got: list[tuple[str, ExportMetricsServiceRequest]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((self.path, ExportMetricsServiceRequest.FromString(data)))
            answer = ExportMetricsServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("by_environment", [False, True])
def test_a_collector_gets_every_metric_by_otlp(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_environment: bool
) -> None:
    run_dir, path = make_run(tmp_path / "run", verdict=BROKEN)
    attempted = sum(e.attempted for e in run_dir.events(LoadEvent) if e.profile == "idempotent")
    with collector() as (address, got):
        if by_environment:
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
            monkeypatch.setenv("OTEL_SERVICE_NAME", "orders-soak")
        with exporting(MetricsPlan(otlp="" if by_environment else address)) as exported:
            exported.begin(run_dir)
            exported.judged(read_verdict(path))
    where, request = got[-1]
    assert where == "/v1/metrics"
    (resource,) = request.resource_metrics
    named = {each.key: each.value.string_value for each in resource.resource.attributes}
    assert named["service.name"] == ("orders-soak" if by_environment else "delivery-harness")
    metrics = {each.name: each for each in resource.scope_metrics[0].metrics}
    assert set(metrics) <= {spec.otel for spec in CATALOGUE}
    points = {
        tuple(sorted((a.key, a.value.string_value) for a in point.attributes)): point.as_double
        or point.as_int
        for point in metrics["delivery.attempts"].sum.data_points
    }
    assert metrics["delivery.attempts"].sum.is_monotonic
    assert points[("profile", "idempotent"), ("role", "subject")] == attempted
    latency = metrics["delivery.ack_latency"]
    assert latency.unit == "s"
    for point in latency.histogram.data_points:
        assert list(point.explicit_bounds) == list(BOUNDS_S)
        assert sum(point.bucket_counts) == point.count > 0
        assert 0 < point.min <= point.sum / point.count <= point.max
    judged = metrics["delivery.run_verdict"].gauge.data_points
    assert [point.as_double or point.as_int for point in judged] == [1]


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (MetricsPlan(port=0), "--metrics-port 0"),
        (MetricsPlan(host="*"), "--metrics-bind-host"),
        (MetricsPlan(textfile=Path("/no/such/folder/a.prom")), "--metrics-textfile"),
        (MetricsPlan(otlp="127.0.0.1:4317"), "--otlp"),
    ],
)
def test_what_cannot_be_exported_is_refused(plan: MetricsPlan, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check_metrics(plan)


@pytest.mark.parametrize(
    ("plan", "extra"),
    [(MetricsPlan(port=9405), "metrics"), (MetricsPlan(otlp=""), "otlp")],
)
def test_without_its_packages_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, plan: MetricsPlan, extra: str
) -> None:
    monkeypatch.setattr("harness.metrics.exporter.importlib.util.find_spec", lambda _: None)
    with pytest.raises(UsageError, match=re.escape(f"'delivery-harness[{extra}]'")):
        check_metrics(plan)


def test_a_port_that_is_taken_ends_the_run_before_it_begins() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = int(taken.getsockname()[1])
        with (
            pytest.raises(EnvironmentFailure, match=f"--metrics-port {port}"),
            exporting(MetricsPlan(port=port)),
        ):
            pass


def queries(value: Any) -> Iterator[tuple[str, str]]:
    """(query, the legend beside it) anywhere in a dashboard."""
    if isinstance(value, dict):
        if isinstance(value.get("expr"), str):
            yield value["expr"], str(value.get("legendFormat", value.get("titleFormat", "")))
        for each in value.values():
            yield from queries(each)
    elif isinstance(value, list):
        for each in value:
            yield from queries(each)


def test_the_dashboard_asks_only_for_metrics_and_labels_that_exist() -> None:
    document = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    labels = {name: spec.labels for spec in CATALOGUE for name in spec.exposed}
    asked: set[str] = set()
    for query, legend in queries(document):
        names = re.findall(r"\bdelivery_\w+", query)
        assert names, query
        asked.update(names)
        used = set(re.findall(r"\{\{(\w+)\}\}", legend))
        for group in re.findall(r"\bby \(([^)]*)\)", query):
            used.update(part.strip() for part in group.split(","))
        for name in names:
            assert name in labels, f"{query}: {name} is no metric of a run"
            assert used - {"le"} <= set(labels[name]), query
    unseen = [spec.name for spec in CATALOGUE if not asked & set(spec.exposed)]
    assert unseen == [], "the dashboard shows every metric"


def test_every_panel_has_a_place_of_its_own() -> None:
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for at in (panel["gridPos"] for panel in panels)
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_every_metric_is_documented_with_its_labels() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    for spec in CATALOGUE:
        names = ", ".join(f"`{name}`" for name in spec.exposed)
        labels = ", ".join(f"`{label}`" for label in spec.labels) or "none"
        row = f"| {names} | `{spec.otel}` | `{spec.unit}` | {labels} | {spec.description} |"
        assert row in page, spec.name


def test_runs_in_kubernetes_answer_scrapes_where_their_pod_monitor_looks() -> None:
    found = {(each["kind"], each["metadata"]["name"]): each for each in objects("preproduction")}
    template = found["CronJob", "harness-run"]["spec"]["jobTemplate"]["spec"]["template"]
    (container,) = template["spec"]["containers"]
    monitor = found["PodMonitor", "harness-run"]["spec"]
    (port,) = container["ports"]
    assert monitor["podMetricsEndpoints"][0]["port"] == port["name"]
    labels = template["metadata"]["labels"]
    assert monitor["selector"]["matchLabels"].items() <= labels.items()
    args = container["args"]
    assert args[args.index("--metrics-port") + 1] == str(port["containerPort"])
    assert args[args.index("--metrics-bind-host") + 1] == "*"
    policy = found["NetworkPolicy", "harness-metrics-in"]["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    assert policy["ingress"][0]["ports"] == [{"protocol": "TCP", "port": port["containerPort"]}]
    dashboard = found["ConfigMap", "grafana-delivery-harness"]["data"]
    assert json.loads(dashboard["harness-dashboard.json"])["title"] == "Delivery harness"
