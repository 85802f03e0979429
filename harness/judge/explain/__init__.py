"""Minimal witnesses: for an anomaly the few events that prove it, in order, as a story.

Pure: from the evidence and the findings of reconciling to data and text. What a witness says is
described in docs/verification.md, section 4.17.
"""

from harness.judge.explain.stories import witnesses

__all__ = ["witnesses"]
