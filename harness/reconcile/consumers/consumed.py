"""What reconciling finds out about a profile's consumers beside anomalies. Data only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Consumed:
    """Sums over all members and input partitions of a profile.

    records = processed + unprocessed + pending holds for what the drain returned of the input.
    """

    members: int = 0
    """Members that left a journal."""
    died: int = 0
    """Members that did not leave their group in order."""
    records: int = 0
    """Records of the input topic, as far as it was drained."""
    processed: int = 0
    """Records of them with at least one effect."""
    pending: int = 0
    """Records of them without an effect that no committed offset has passed."""
    polled: int = 0
    """Records handed over, again ones counted again."""
    effects: int = 0
    """Effects of any record, further ones included; in a pipeline: output records."""
    commits: int = 0
    """Commits that were confirmed, counted by partition; in a share group, acknowledgements."""
    commits_failed: int = 0
    assignments: int = 0
    """Partitions that were assigned to a member, over the whole run."""
    lost: int = 0
    """Partitions that were taken from a member which had been put out of its group."""
    fenced: int = 0
    """How often a member learned that a newer one had taken its place."""
