"""TLS: verified always, against the authorities we are told of, for the name we called."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.errors import BrokenTransfer, OutOfFiles, TimedOut, Unreachable
from app.upstream.transport import Deadlines, Transport
from tests.scarce import no_descriptors
from tests.upstream.conftest import gone_at_once, pieces
from tests.upstream.rawserver import (
    CHUNKED,
    LAST,
    answers,
    answers_once,
    chunk,
    head,
    is_silent_after,
    ok,
    until,
)

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)

Issue = Callable[..., ssl.SSLContext]


class Authority:
    """Signs certificates. Itself is the only one it is signed by."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        self._made = 0
        self.file = folder / "authority.pem"
        certificate = self._certificate(self._key, self._name, self._name, [], DAY, is_ca=True)
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def context(
        self, *names: str, lasts: datetime.timedelta = DAY, own: bool = False
    ) -> ssl.SSLContext:
        """A server's context, with a certificate for `names`; `own` signs it with its own key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
        issuer, signer = (subject, key) if own else (self._name, self._key)
        certificate = self._certificate(signer, issuer, subject, names, lasts, public=key)
        self._made += 1
        file = self._folder / f"server-{self._made}.pem"
        file.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _certificate(self, signer, issuer, subject, names, lasts, *, public=None, is_ca=False):
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key((public or signer).public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - 3 * DAY)
            .not_valid_after(NOW + lasts)
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        )
        if names:
            alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
            builder = builder.add_extension(alternatives, critical=False)
        return builder.sign(signer, hashes.SHA256())


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def secure(call, authority):
    """A client that trusts the authority, of a server that has a certificate by it."""

    def start(*scripts, **settings):
        context = authority.context("localhost")
        return call(*scripts, context=context, ca_file=str(authority.file), **settings)

    return start


def test_a_platform_with_a_good_certificate_is_called_and_its_connection_kept(secure):
    client = secure(answers(CHUNKED + chunk(b"body") + LAST))

    assert [client.fetch() for _ in range(3)] == [b"body"] * 3
    assert client.server.connections == 1


@pytest.mark.parametrize(
    "names, options",
    [
        (["elsewhere.example"], {}),
        (["localhost"], {"lasts": -DAY}),
        (["localhost"], {"own": True}),
    ],
    ids=["of another host", "expired", "self-signed"],
)
def test_a_certificate_that_is_wrong_ends_the_call_before_anything_is_sent(
    call, authority, names, options
):
    client = call(
        answers(ok()), context=authority.context(*names, **options), ca_file=str(authority.file)
    )
    with pytest.raises(Unreachable, match="certificate"):
        client.open(headers={"authorization": "Bearer k"})

    assert client.server.requests == []


def test_want_of_descriptors_is_over_when_it_is_over(secure, authority):
    """R-145: who signs certificates could not be read then."""
    transport = Transport(Deadlines(), ca_file=str(authority.file))
    with no_descriptors(), pytest.raises(OutOfFiles):
        transport.open("GET", "https://127.0.0.1/", {}, None)

    client = secure(answers(ok(b"body")))
    client.transport.close()
    client.transport = transport
    assert client.fetch() == b"body"


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_an_authority_we_were_not_told_of_is_not_trusted(call, authority, monkeypatch, variable):
    """R-115: neither by default nor by the environment."""
    monkeypatch.setenv(variable, str(authority.file))
    client = call(answers(ok()), context=authority.context("localhost"))
    with pytest.raises(Unreachable, match="certificate"):
        client.open()


def test_what_does_not_speak_tls_is_unreachable(call):
    def script(peer):
        peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        peer.wait_for_close()

    client = call(script)
    with pytest.raises(Unreachable):
        client.open(url=client.server.url.replace("http:", "https:"))


def test_a_handshake_that_never_ends_costs_the_connect_time(call):
    client = call(is_silent_after(), connect_seconds=0.15)
    with pytest.raises(Unreachable):
        client.open(url=client.server.url.replace("http:", "https:"))


def test_large_bodies_pass_both_ways(secure):
    client = secure(answers(ok(bytes(3 << 20))))

    assert len(client.fetch(body=bytes(4 << 20))) == 3 << 20
    assert len(client.server.requests[0].body) == 4 << 20


def test_silence_ticks(secure):
    answer = secure(is_silent_after(CHUNKED + chunk(b"ab"))).open()

    assert [answer.next(0.03) for _ in range(3)] == [b"ab", None, None]


def test_a_head_that_does_not_come_in_time_is_a_timeout(secure):
    with pytest.raises(TimedOut):
        secure(is_silent_after(), first_byte_seconds=0.1).open()


def test_a_connection_cut_below_tls_breaks_the_body(secure):
    def script(peer):
        peer.request()
        peer.send(CHUNKED + chunk(b"ab"))
        peer.server.go.wait(5)
        peer.reset()

    client = secure(script)
    answer = client.open()
    assert answer.next(1) == b"ab"
    client.server.go.set()
    with pytest.raises(BrokenTransfer):
        answer.next(1)


def test_a_body_that_ends_with_its_connection_ends_cleanly(secure):
    answer = secure(answers_once(head() + b"abcd")).open()

    assert b"".join(pieces(answer)) == b"abcd"


@pytest.mark.parametrize("sent", [b"", CHUNKED + chunk(b"ab")], ids=["before the head", "mid-body"])
def test_a_leash_ends_a_call_at_once(secure, sent):
    client = secure(is_silent_after(sent))
    with gone_at_once(lambda: client.server.requests) as leash:
        list(pieces(client.open(leash=leash)))

    client.close()
    assert until(lambda: client.server.closed or client.server.troubles)


def test_a_leash_ends_a_handshake_at_once(call):
    client = call(is_silent_after())
    with gone_at_once(lambda: client.server.connections) as leash:
        client.open(url=client.server.url.replace("http:", "https:"), leash=leash)
