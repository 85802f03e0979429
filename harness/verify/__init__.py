"""From a run directory's ledger and a Kafka to observations, evidence and latency.

`reader` reads along while the load runs, `drain` proves afterwards that everything was read, both
write `observations`; `latency` keeps HDR histograms; `reconcile` and `evidence` set what was read
against what was sent.
"""
