"""Producers on a steady schedule, one Locust user for each client of each delivery profile."""

from locust import task

from harness.load.users import ProducerUser


class Steady(ProducerUser):
    """Sends what its profile's schedule says."""

    @task
    def slot(self) -> None:
        """250 ms of the schedule."""
        self.send_what_is_due()
