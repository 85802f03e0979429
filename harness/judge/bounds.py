"""What zero observed anomalies say about the next fault.

Faults are counted, not records: losses come in bursts, so a thousand records under one fault are
one trial and not a thousand.
"""

from __future__ import annotations

CONFIDENCE = 0.95


def bound_95_per_fault(faults_exposed: int) -> float | None:
    """Upper 95 % bound of the chance that one such fault breaks a promise, after F without.

    With F independent faults and none of them breaking it, a chance p per fault is refuted at 95 %
    when (1 − p)^F < 0.05; the bound is 1 − 0.05^(1/F) (Clopper and Pearson, one-sided, for zero
    of F). None without any exposed fault.
    """
    if faults_exposed < 1:
        return None
    return float(1.0 - (1.0 - CONFIDENCE) ** (1.0 / faults_exposed))
