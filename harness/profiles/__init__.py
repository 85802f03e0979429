"""Delivery profiles: settings and the promises they make, as data; and the guardrails on them."""

from harness.profiles.envelope import envelope_breaches
from harness.profiles.java import read_properties
from harness.profiles.lint import Finding, lint
from harness.profiles.load import choose, load_builtin, load_profiles
from harness.profiles.model import DeliveryProfile
from harness.profiles.settings import Overrides, split_settings

__all__ = [
    "DeliveryProfile",
    "Finding",
    "Overrides",
    "choose",
    "envelope_breaches",
    "lint",
    "load_builtin",
    "load_profiles",
    "read_properties",
    "split_settings",
]
