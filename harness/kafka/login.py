"""A connection of our own to a broker that asks for TLS or a login, from librdkafka's settings.

SASL over Kafka's protocol (KIP-43, KIP-152): SaslHandshake names the mechanism, SaslAuthenticate
carries its messages. SCRAM as in RFC 5802 and RFC 7677, PLAIN as in RFC 4616. What is secret stays
in the settings and on the connection.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import ssl
import tempfile
from collections.abc import Mapping
from typing import Final, Protocol, TypeVar

from kio.schema.sasl_authenticate.v2.request import SaslAuthenticateRequest
from kio.schema.sasl_authenticate.v2.response import SaslAuthenticateResponse
from kio.schema.sasl_handshake.v1.request import SaslHandshakeRequest
from kio.schema.sasl_handshake.v1.response import SaslHandshakeResponse
from kio.static.protocol import RequestPayload, ResponsePayload

AnswerT = TypeVar("AnswerT", bound=ResponsePayload)
_HASHES: Final = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}


class LoginRefused(OSError):
    """The broker did not take the login, or did not show that it knows the password."""


class Asking(Protocol):
    """Sends a request over the connection that is being logged in, and reads its answer."""

    async def ask(self, request: RequestPayload, kind: type[AnswerT]) -> AnswerT:
        """The answer."""


def security(settings: Mapping[str, str]) -> str:
    """security.protocol in lower case; plaintext where it is not stated."""
    return str(settings.get("security.protocol", "plaintext")).lower()


def tls_context(settings: Mapping[str, str]) -> ssl.SSLContext | None:
    """What a connection needs for TLS; None for one without.

    Raises OSError (ssl.SSLError is one) for certificates that cannot be read.
    """
    if not security(settings).endswith("ssl"):
        return None
    context = ssl.create_default_context(cafile=settings.get("ssl.ca.location"))
    if "ssl.ca.pem" in settings:
        context.load_verify_locations(cadata=settings["ssl.ca.pem"])
    if settings.get("ssl.endpoint.identification.algorithm") == "none":
        context.check_hostname = False
    if str(settings.get("enable.ssl.certificate.verification", "true")).lower() == "false":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    password = settings.get("ssl.key.password")
    if "ssl.certificate.pem" in settings:
        # OpenSSL reads a chain from a file alone; no other user may, and it is gone at once.
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as held:
            held.write(f"{settings['ssl.certificate.pem']}\n{settings.get('ssl.key.pem', '')}")
            held.flush()
            context.load_cert_chain(held.name, password=password)
    elif "ssl.certificate.location" in settings:
        context.load_cert_chain(
            settings["ssl.certificate.location"], settings.get("ssl.key.location"), password
        )
    return context


async def log_in(connection: Asking, settings: Mapping[str, str]) -> None:
    """Log in over an open connection, where the settings say so. Raises LoginRefused."""
    if not security(settings).startswith("sasl"):
        return
    mechanism = str(settings.get("sasl.mechanism", settings.get("sasl.mechanisms", ""))).upper()
    if mechanism not in ("PLAIN", *_HASHES):
        raise LoginRefused(f"mechanism {mechanism or 'GSSAPI'} is not spoken here")
    shaken = await connection.ask(SaslHandshakeRequest(mechanism=mechanism), SaslHandshakeResponse)
    if shaken.error_code:
        raise LoginRefused(f"the broker does not take {mechanism}")
    name, password = settings.get("sasl.username", ""), settings.get("sasl.password", "")
    if mechanism == "PLAIN":
        await _step(connection, f"\0{name}\0{password}".encode())
        return
    scram = Scram(_HASHES[mechanism], name, password)
    server = await _step(connection, scram.first())
    scram.check(await _step(connection, scram.final(server)))


async def _step(connection: Asking, message: bytes) -> bytes:
    answer = await connection.ask(
        SaslAuthenticateRequest(auth_bytes=message), SaslAuthenticateResponse
    )
    if answer.error_code:
        raise LoginRefused(f"login refused: {answer.error_message or int(answer.error_code)}")
    return bytes(answer.auth_bytes)


class Scram:
    """One login by SCRAM: the client's messages, and the check of the server's proof."""

    def __init__(self, algorithm: str, name: str, password: str, nonce: str | None = None) -> None:
        self._algorithm, self._password = algorithm, password.encode()
        self._nonce = nonce or base64.b64encode(secrets.token_bytes(18)).decode()
        quoted = name.replace("=", "=3D").replace(",", "=2C")
        self._bare = f"n={quoted},r={self._nonce}"
        self._proof_of_server = b""

    def first(self) -> bytes:
        """client-first-message"""
        return f"n,,{self._bare}".encode()

    def final(self, server_first: bytes) -> bytes:
        """client-final-message. Raises LoginRefused for a nonce that is not ours."""
        fields = _fields(server_first)
        nonce, salt, rounds = fields.get("r", ""), fields.get("s", ""), fields.get("i", "0")
        if not nonce.startswith(self._nonce) or int(rounds) < 1:
            raise LoginRefused("the broker's answer belongs to another login")
        salted = hashlib.pbkdf2_hmac(
            self._algorithm, self._password, base64.b64decode(salt), int(rounds)
        )
        without_proof = f"c=biws,r={nonce}"
        message = f"{self._bare},{server_first.decode()},{without_proof}".encode()
        client_key = self._mac(salted, b"Client Key")
        stored = hashlib.new(self._algorithm, client_key).digest()
        signature = self._mac(stored, message)
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        self._proof_of_server = self._mac(self._mac(salted, b"Server Key"), message)
        return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()

    def check(self, server_final: bytes) -> None:
        """Raises LoginRefused when the server does not show that it knows the password."""
        shown = base64.b64decode(_fields(server_final).get("v", ""))
        if not hmac.compare_digest(shown, self._proof_of_server):
            raise LoginRefused("the broker did not show that it knows the password")

    def _mac(self, key: bytes, message: bytes) -> bytes:
        return hmac.new(key, message, self._algorithm).digest()


def _fields(message: bytes) -> dict[str, str]:
    return dict(part.split("=", 1) for part in message.decode().split(",") if "=" in part)
