"""A file server on loopback that misbehaves on request, and an internet made of it."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.media.inbound import Fetcher

PUBLIC = "93.184.216.34"

Script = Callable[["FileServer", socket.socket], None]


class FileServer:
    """One thread per connection. `routes` maps a path to the bytes of an answer, or to a script."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.routes: dict[str, bytes | Script] = {}
        self.heads: list[bytes] = []
        self.sent: dict[str, int] = {}
        self.arrivals = 0
        self.over = threading.Event()
        self._context = context
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=50)
        self.port: int = self._listener.getsockname()[1]
        self._run(self._accept)

    def send(self, connection: socket.socket, path: str, data: bytes) -> bool:
        """Send and note how much went; false once the other side is gone."""
        try:
            connection.sendall(data)
        except OSError:
            return False
        self.sent[path] = self.sent.get(path, 0) + len(data)
        return True

    def stop(self) -> None:
        """Wait for everyone who is still served. May be called again."""
        if self.over.is_set():
            return
        self.over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def _run(self, work: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.arrivals += 1
            self._run(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(5)
        try:
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += (piece := connection.recv(1))  # a body is for the script to read
                if not piece:
                    return
            self.heads.append(head)
            work = self.routes[head.split(b" ")[1].decode()]
            work(self, connection) if callable(work) else connection.sendall(work)
        except OSError:
            return  # the other side hung up, as it should on most of what is served here
        finally:
            connection.close()


class Pretender(socket.socket):
    """A connection to loopback that says it leads to where it was asked to go."""

    pretended = ""

    def getpeername(self) -> tuple[str, int]:
        return self.pretended, 0


class Internet:
    """Names and the addresses they have now, every address being `server`."""

    def __init__(self, server: FileServer) -> None:
        self.server = server
        self.names: dict[str, Sequence[str]] = {}
        self.lookups: list[str] = []
        self.dialled: list[tuple[str, int]] = []
        self.unreachable: set[str] = set()

    def resolve(self, host: str) -> Sequence[str]:
        self.lookups.append(host)
        if host not in self.names:
            raise socket.gaierror(socket.EAI_NONAME, "unknown name")
        return self.names[host]

    def connect(self, address: str, port: int, seconds: float) -> socket.socket:
        self.dialled.append((address, port))
        if address in self.unreachable:
            raise ConnectionRefusedError(address)
        raw = socket.create_connection(("127.0.0.1", self.server.port), timeout=seconds)
        pretender = Pretender(raw.family, raw.type, raw.proto, fileno=raw.detach())
        pretender.pretended = address
        return pretender


class Certificates:
    """An authority of our own, and a certificate for good.test."""

    def __init__(self, folder: Path) -> None:
        self.ca_file = str(folder / "ca.pem")
        self.chain_file = str(folder / "chain.pem")
        authority, server = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "good.test")])
        basic = x509.BasicConstraints(ca=True, path_length=None)
        root = _certificate(issuer, issuer, authority, authority, basic)
        names = x509.SubjectAlternativeName([x509.DNSName("good.test")])
        leaf = _certificate(name, issuer, server, authority, names)
        Path(self.ca_file).write_bytes(root)
        private = server.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        Path(self.chain_file).write_bytes(leaf + private)

    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain_file)
        return context


def _certificate(
    name: x509.Name,
    issuer: x509.Name,
    holder: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    extension: x509.ExtensionType,
) -> bytes:
    today = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(holder.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=2))
        .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        .sign(signer, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def server() -> Iterator[FileServer]:
    server = FileServer()
    yield server
    server.stop()


@pytest.fixture
def tls_server(certificates: Certificates) -> Iterator[FileServer]:
    server = FileServer(certificates.context())
    yield server
    server.stop()


@pytest.fixture
def internet(server: FileServer) -> Internet:
    internet = Internet(server)
    internet.names["good.test"] = [PUBLIC]
    return internet


@pytest.fixture
def make_fetcher(internet: Internet, certificates: Certificates) -> Callable[..., Fetcher]:
    """A fetcher on our internet; settings are passed on."""

    def make(**settings: Any) -> Fetcher:
        facts: dict[str, Any] = {
            "ca_file": certificates.ca_file,
            "resolve": internet.resolve,
            "connect": internet.connect,
            "seconds": 5.0,
        }
        return Fetcher(**{**facts, **settings})

    return make


@pytest.fixture
def fetcher(make_fetcher: Callable[..., Fetcher]) -> Fetcher:
    return make_fetcher()
