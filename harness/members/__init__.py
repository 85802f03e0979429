"""Consumers under test: group members as their own processes, each with a journal.

No client library is imported here, nor for their journals (`rundir/member_journal.py`), which
judging reads.
"""
