"""Names that members go by at the brokers; faults and reports need them too."""

from __future__ import annotations


def transactional_id(run_id: str, profile: str, slot: int) -> str:
    """The transactional.id of whoever has that slot in a pipeline's group."""
    return f"harness-{run_id}-{profile}-member-{slot}"
