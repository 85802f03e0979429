"""What is asked of Kafka itself: topics, leaders, settings of clients, requests of the protocol."""

from __future__ import annotations

import sys


def _import_kio_alone() -> None:
    """Import kio's types without hypothesis, which kio imports wherever it is installed.

    hypothesis takes long to import and makes a folder `.hypothesis` where the process is.
    """
    if "hypothesis" in sys.modules:
        return
    sys.modules["hypothesis"] = None  # type: ignore[assignment]  # an import of it fails
    try:
        import kio.static._phantom  # noqa: F401
    finally:
        del sys.modules["hypothesis"]


_import_kio_alone()
