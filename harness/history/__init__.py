"""Histories recorded elsewhere, judged by the same code as runs of our own.

    files → lines → columns of events → evidence in memory → reconcile → judge

The formats and what follows from what they leave out are described in docs/histories.md. No client
library is imported here.
"""
