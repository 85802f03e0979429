"""Delivery profiles: settings and the promises they make, as data; and the guardrails on them."""

from harness.profiles.load import choose, load_builtin, load_profiles
from harness.profiles.model import DeliveryProfile
from harness.profiles.settings import Overrides, split_settings

__all__ = [
    "DeliveryProfile",
    "Overrides",
    "choose",
    "load_builtin",
    "load_profiles",
    "split_settings",
]
