"""Keys and certificates, made by the openssl command.

Elliptic keys instead of Strimzi's RSA: making them costs a hundredth of the time.
"""

from __future__ import annotations

import ipaddress
import secrets
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CERTIFICATE_DAYS: Final = 365
_TIMEOUT_S: Final = 30.0


@dataclass(frozen=True, slots=True, repr=False)
class KeyPair:
    """A private key (PKCS #8) and its certificate, both PEM. Never printed."""

    key: str
    certificate: str


def make_authority(subject: str) -> KeyPair:
    """A certificate authority that signs itself; `subject` as openssl writes it, `/O=a/CN=b`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _openssl(folder, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
        key = (folder / "out.pem").read_text()
    return renew_authority(KeyPair(key, ""), subject)


def renew_authority(authority: KeyPair, subject: str) -> KeyPair:
    """A new certificate for the same key: what the old one signed stays valid."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "key.pem").write_text(authority.key)
        _openssl(
            folder,
            *("req", "-x509", "-new", "-key", "key.pem", "-subj", subject),
            *("-days", str(CERTIFICATE_DAYS), "-set_serial", _serial()),
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        )
        return KeyPair(authority.key, (folder / "out.pem").read_text())


def issue(authority: KeyPair, subject: str, names: Sequence[str] = ()) -> KeyPair:
    """A certificate for servers (with DNS `names`) and clients, signed by `authority`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "ca.key").write_text(authority.key)
        (folder / "ca.crt").write_text(authority.certificate)
        extensions = ["basicConstraints=critical,CA:FALSE", "keyUsage=digitalSignature"]
        extensions.append("extendedKeyUsage=serverAuth,clientAuth")
        if names:
            extensions.append("subjectAltName=" + ",".join(map(_alternative, names)))
        (folder / "extensions").write_text("\n".join(extensions) + "\n")
        _openssl(folder, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
        (folder / "out.pem").rename(folder / "key.pem")
        _openssl(folder, "req", "-new", "-key", "key.pem", "-subj", subject)
        (folder / "out.pem").rename(folder / "request.pem")
        _openssl(
            folder,
            *("x509", "-req", "-in", "request.pem", "-CA", "ca.crt", "-CAkey", "ca.key"),
            *("-days", str(CERTIFICATE_DAYS), "-set_serial", _serial()),
            *("-extfile", "extensions"),
        )
        return KeyPair((folder / "key.pem").read_text(), (folder / "out.pem").read_text())


def _alternative(name: str) -> str:
    try:
        return f"IP:{ipaddress.ip_address(name)}"
    except ValueError:
        return f"DNS:{name}"


def _serial() -> str:
    return str(secrets.randbits(120) + 1)


def _openssl(folder: Path, *argv: str) -> None:
    subprocess.run(
        ["openssl", *argv, "-out", "out.pem"],
        cwd=folder,
        check=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_TIMEOUT_S,
    )
