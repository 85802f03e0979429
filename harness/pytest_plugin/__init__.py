"""A plugin for pytest: real brokers, runs under faults, and promises asserted in tests.

docs/pytest.md shows its use. Only pytest loads it, by the entry point `pytest11`.
"""
