"""The page of a run under way, beside Locust's own: what it shows, its form, its buttons.

    watched     reads a run directory again and again, and makes the live view
    snapshots   the process that does so, and what Locust's process has of it: one small file
    pages       the addresses under /harness, which answer from memory
    form        the lists of the form, with their promises in words
    faults      one fault at a time, injected and healed by a button

No request asks a broker for anything, or reads anything that grows with the run.
"""
