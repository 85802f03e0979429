"""Which examples property tests try: the same each time, or others each time."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers

REPEATABLE = "repeatable"
"""Each property test tries the same examples every time and on every machine."""
RANDOM = "random"
"""Each property test tries other examples every time, and first those that failed before."""


def choose_examples(profile: str) -> None:
    """Load a profile of hypothesis; what @settings of a test does not state comes from it."""
    # A limit of time would make the outcome depend on how busy the machine is.
    untimed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.register_profile(REPEATABLE, untimed, derandomize=True, database=None)
    settings.register_profile(RANDOM, untimed, derandomize=False, print_blob=True)
    if profile not in (REPEATABLE, RANDOM):
        raise pytest.UsageError(
            f"HYPOTHESIS_PROFILE={profile}: there is no such profile. Set it to {REPEATABLE} "
            f"or {RANDOM}."
        )
    settings.load_profile(profile)
    if profile == REPEATABLE and hasattr(providers, "_get_local_constants"):
        from hypothesis.internal.constants_ast import Constants

        # Hypothesis also tries constants of the modules imported so far. Which modules those are
        # depends on the tests that ran before in the same process.
        none = Constants()
        providers._get_local_constants = lambda: none
