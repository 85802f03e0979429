"""The version of the distribution, as pyproject.toml says it."""

__version__ = "0.1.0"
