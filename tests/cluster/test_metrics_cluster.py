"""Metrics of a real run: scraped while it goes on, and equal to its verdict at the end."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest

import harness
from harness.brokers import LocalCluster
from tests.unit.test_metrics import Samples, free_port, of, samples

pytestmark = pytest.mark.cluster


def scrape_until(port: int, over: threading.Event, seen: list[Samples]) -> None:
    """Scrape twice a second for as long as the run goes on."""
    while not over.wait(0.5):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                seen.append(samples(answer.read().decode()))
        except urllib.error.URLError:
            continue  # not there yet, or no more


def test_a_run_is_watched_by_its_port_and_ends_with_its_verdict_in_the_file(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    port, file = free_port(), tmp_path / "harness.prom"
    over, seen = threading.Event(), list[Samples]()
    scraper = threading.Thread(target=scrape_until, args=(port, over, seen))
    scraper.start()
    try:
        verdict = harness.run(
            harness.RunOptions(
                profiles=("idempotent",),
                experiments=("kill_leader",),
                brokers=f"local:{cluster.name}",
                rate_per_s=200,
                metrics_port=port,
                metrics_textfile=file,
                out=tmp_path / "run",
            )
        )
    finally:
        over.set()
        scraper.join()
    subject = next(each for each in verdict.profiles if each.profile == "idempotent")
    who = {"profile": "idempotent", "role": "subject"}
    name = "delivery_attempts_total"
    counts = [of(each, name, **who) for each in seen if (name, tuple(sorted(who.items()))) in each]
    assert len(counts) > 10
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]
    active = ("delivery_faults_active", (("fault", "kill_leader"),))
    assert {each[active] for each in seen if active in each} >= {0, 1}
    found = samples(file.read_text())
    assert of(found, name, **who) == subject.counts["attempted"]
    assert of(found, "delivery_acknowledged_total", **who) == subject.counts["acked"]
    assert of(found, "delivery_run_verdict", verdict=verdict.verdict) == 1
    # The warm-up is in no latency log.
    measured = of(found, "delivery_ack_latency_seconds_count", **who)
    assert measured == subject.latency_ms["ack"].all.count
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5)
