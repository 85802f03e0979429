"""Producers on a steady schedule, one Locust user for each client of each delivery profile.

harness cluster up                                # a Kafka, unless you have one
locust -f scenarios/steady.py                     # then open http://127.0.0.1:8089
locust -f scenarios/steady.py --headless --duration 20 --delivery-profile idempotent
harness run                                       # the same users, while brokers are broken
"""

from locust import events, task

from harness.load.users import ProducerUser
from harness.runs.standalone import Producers, take_part

__all__ = ["Producers", "Steady"]


class Steady(ProducerUser):
    """Sends what its profile's schedule says."""

    @task
    def slot(self) -> None:
        """250 ms of the schedule, and one Locust event for them."""
        self.send_what_is_due()


take_part(events, Steady)
