"""A login over a connection of our own: SCRAM by the vectors of RFC 7677, TLS by the settings."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, TypeVar

import pytest
from kio.schema.sasl_authenticate.v2.request import SaslAuthenticateRequest
from kio.schema.sasl_authenticate.v2.response import SaslAuthenticateResponse
from kio.schema.sasl_handshake.v1.request import SaslHandshakeRequest
from kio.schema.sasl_handshake.v1.response import SaslHandshakeResponse
from kio.static.protocol import RequestPayload, ResponsePayload

from harness.kafka.login import LoginRefused, Scram, log_in, tls_context

AnswerT = TypeVar("AnswerT", bound=ResponsePayload)

NONCE = "rOprNGfwEbeRWgbNEkqO"
SERVER_FIRST = (
    b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
)
CLIENT_FINAL = (
    b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
    b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
)
SERVER_FINAL = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def scram(password: str = "pencil") -> Scram:
    return Scram("sha256", "user", password, NONCE)


def test_the_messages_are_those_of_the_rfc() -> None:
    login = scram()
    assert login.first() == b"n,,n=user,r=" + NONCE.encode()
    assert login.final(SERVER_FIRST) == CLIENT_FINAL
    login.check(SERVER_FINAL)
    assert Scram("sha512", "a=b,c", "x", "n").first() == b"n,,n=a=3Db=2Cc,r=n"


def test_a_server_that_does_not_know_the_password_is_refused() -> None:
    login = scram("another")
    login.final(SERVER_FIRST)
    for shown in (SERVER_FINAL, b"e=invalid-proof", b""):
        with pytest.raises(LoginRefused, match="did not show"):
            login.check(shown)
    with pytest.raises(LoginRefused, match="another login"):
        scram().final(b"r=somebody-elses,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")


class Broker:
    """Answers a login; `refused`: what it answers with."""

    def __init__(self, refused: int = 0) -> None:
        self.refused = refused
        self.taken: list[bytes] = []

    async def ask(self, request: RequestPayload, kind: type[AnswerT]) -> AnswerT:
        answer: Any
        if isinstance(request, SaslHandshakeRequest):
            answer = SaslHandshakeResponse(error_code=0, mechanisms=("PLAIN",))  # type: ignore[arg-type]
        else:
            assert isinstance(request, SaslAuthenticateRequest)
            self.taken.append(request.auth_bytes)
            answer = SaslAuthenticateResponse(
                error_code=self.refused,  # type: ignore[arg-type]
                error_message="no such user" if self.refused else None,
                auth_bytes=b"",
            )
        assert isinstance(answer, kind)
        return answer


SASL = {"security.protocol": "SASL_PLAINTEXT", "sasl.username": "u", "sasl.password": "hush"}


def test_a_login_by_plain_sends_name_and_password_once() -> None:
    broker = Broker()
    asyncio.run(log_in(broker, {**SASL, "sasl.mechanism": "PLAIN"}))
    assert broker.taken == [b"\0u\0hush"]
    asyncio.run(log_in(broker, {"security.protocol": "SSL"}))
    assert len(broker.taken) == 1


@pytest.mark.parametrize(
    ("mechanism", "refused", "said"),
    [("PLAIN", 58, "no such user"), ("GSSAPI", 0, "GSSAPI is not spoken"), ("", 0, "GSSAPI")],
)
def test_a_login_that_is_refused_says_why_and_never_the_password(
    mechanism: str, refused: int, said: str
) -> None:
    with pytest.raises(LoginRefused, match=said) as failed:
        asyncio.run(log_in(Broker(refused), {**SASL, "sasl.mechanism": mechanism}))
    assert "hush" not in str(failed.value)


def test_tls_follows_the_settings() -> None:
    assert tls_context({}) is None
    assert tls_context({"security.protocol": "SASL_PLAINTEXT"}) is None
    strict = tls_context({"security.protocol": "SSL"})
    assert strict is not None
    assert (strict.check_hostname, strict.verify_mode) == (True, ssl.CERT_REQUIRED)
    loose = tls_context(
        {"security.protocol": "sasl_ssl", "enable.ssl.certificate.verification": "false"}
    )
    assert loose is not None
    assert loose.verify_mode == ssl.CERT_NONE
