"""Consumers under test: group members as processes of their own, each with a journal.

No client library is imported here, nor in `harness.members.journal`: judging reads the journals.
"""
