"""Certificates for a cluster that lives for minutes, made with openssl."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.errors import EnvironmentFailure

_VALID_DAYS: Final = "30"
_CURVE: Final = "prime256v1"
"""Keys on this curve are made in milliseconds; RSA's take up to a second each."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key, PEM."""

    certificate: Path
    key: Path


def missing_openssl() -> str:
    """Why no certificate can be made; empty when it can."""
    return "" if shutil.which("openssl") else "no `openssl` on PATH"


def make_key(path: Path) -> Path:
    """A private key at `path`, readable by its owner only."""
    path.touch(mode=0o600)
    _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", f"ec_paramgen_curve:{_CURVE}", "-out", path)
    return path


def public_key(key: Path, path: Path) -> Path:
    """The public half of `key`, at `path`."""
    _openssl("pkey", "-in", key, "-pubout", "-out", path)
    return path


class Authority:
    """A certificate authority in one folder: `ca.crt` and `ca.key`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pair = Pair(folder / "ca.crt", folder / "ca.key")

    @classmethod
    def make(cls, folder: Path, common_name: str) -> Authority:
        """A new authority. `folder` is made, for its owner only."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        authority = cls(folder)
        make_key(authority.pair.key)
        _openssl(
            *("req", "-x509", "-new", "-key", authority.pair.key, "-out", authority.certificate),
            *("-days", _VALID_DAYS, "-subj", f"/CN={common_name}"),
            *("-addext", "basicConstraints=critical,CA:TRUE"),
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        )
        return authority

    @property
    def certificate(self) -> Path:
        return self.pair.certificate

    def issue(self, name: str, subject: str, sans: Iterable[str] = ()) -> Pair:
        """`<name>.crt` and `<name>.key`, for servers and clients alike.

        `subject` as openssl writes it (`/O=group/CN=user`), `sans` as `DNS:host` and `IP:address`.
        """
        pair = Pair(self.folder / f"{name}.crt", make_key(self.folder / f"{name}.key"))
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        alternatives = ",".join(sans)
        extensions.write_text(
            "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\n"
            "extendedKeyUsage=serverAuth,clientAuth\n"
            + (f"subjectAltName={alternatives}\n" if alternatives else "")
        )
        _openssl("req", "-new", "-key", pair.key, "-subj", subject, "-out", request)
        _openssl(
            *("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.pair.key),
            *("-CAcreateserial", "-days", _VALID_DAYS, "-extfile", extensions),
            *("-out", pair.certificate),
        )
        request.unlink()
        extensions.unlink()
        return pair


def _openssl(*argv: str | Path) -> None:
    done = subprocess.run(["openssl", *map(str, argv)], capture_output=True, text=True)
    if done.returncode:
        raise EnvironmentFailure(f"openssl {argv[0]} failed: {done.stderr.strip()[-500:]}")
