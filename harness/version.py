"""The version: pyproject.toml, the wheel, the image and every run take it from here."""

__version__ = "0.1.0"
