"""What group members did, set against what their input topic holds.

    journals of the members ┐
    drained input topic     ├→ reading    in which order records were handed over
    committed offsets       │  effects    what was processed how often, and what never was
    inputs of a pipeline    ┘  blind      what could not be looked at

Definitions are in docs/verification.md, section 9. Order inside one journal is certain; between
two journals it is their common clock's, and where that does not decide, no anomaly is counted.

Pure, like all of reconciling: no client library is imported here.
"""
