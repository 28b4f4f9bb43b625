"""The nginx file that we ship, run by the real nginx in front of a gateway.

Only what a test cannot have is changed: names, ports, folders. Tests that want to see something go
wrong say which lines they spoil.
"""

from __future__ import annotations

import datetime
import os
import signal
import socket
import ssl
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.stack import ROOT, free_port, program, until

SITE = ROOT / "deploy" / "nginx.conf"
NAME = "tokens.example.com"
# Services that stop wait for nginx to let go of what is idle; for tests that ask what becomes of calls meanwhile.
LETS_GO_SOONER = {"keepalive_timeout 4s;": "keepalive_timeout 1s;"}
MAIN = """
user root; daemon off; worker_processes 2; pid {folder}/nginx.pid; error_log {folder}/error.log warn;
worker_rlimit_nofile 4096;
events {{ worker_connections 2048; }}
http {{
  access_log off; gzip on; gzip_types application/json text/event-stream; gzip_proxied any;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  include {folder}/site.conf;
}}
"""


class Certificate:
    """A certificate that nobody but us trusts, as files."""

    def __init__(self, folder: Path, *, name: str = "localhost", days: float = 90) -> None:
        self.file, self.key_file = folder / f"{name}.pem", folder / f"{name}.key"
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.timezone.utc)
        begin = now - datetime.timedelta(days=1)
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(key, hashes.SHA256())
        )
        self.file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        plain = serialization.NoEncryption()
        kind = serialization.PrivateFormat.PKCS8
        self.key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, kind, plain))


class Front:
    """nginx with our site. `places` are where the services listen, files or `host:port`; `spoilt` are lines
    of the site and what stands in their place.
    """

    def __init__(
        self,
        folder: Path,
        places: Sequence[Path | str],
        certificate: Certificate,
        spoilt: Mapping[str, str] | None = None,
    ) -> None:
        self.folder, self.certificate = folder, certificate
        self.plain_port, self.port = free_port(), free_port()
        self._places = [f"unix:{one}" if isinstance(one, Path) else one for one in places]
        (folder / "nginx.conf").write_text(MAIN.format(folder=folder))
        self.write(spoilt or {})
        path = program("nginx")
        command = [path, "-c", f"{folder}/nginx.conf", "-p", str(folder)]
        self._command = [*command, "-e", f"{folder}/error.log"]
        self.start()

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def trust(self) -> ssl.SSLContext:
        """What believes in the certificate."""
        return ssl.create_default_context(cafile=str(self.certificate.file))

    @property
    def complaints(self) -> str:
        """All that nginx has said."""
        files = [one for one in self.folder.glob("*error.log")]
        return "\n".join(one.read_text() for one in files)

    @property
    def log(self) -> str:
        return (self.folder / "tokens.log").read_text()

    def write(self, spoilt: Mapping[str, str]) -> None:
        """The site, as a machine like this one can run it."""
        site = SITE.read_text()
        first, second = (self._places * 2)[:2]
        changes = {
            "unix:/run/tokens-web-a/web.sock": first,
            "unix:/run/tokens-web-b/web.sock": second,
            "/etc/letsencrypt/live/tokens.example.com/fullchain.pem": str(self.certificate.file),
            "/etc/letsencrypt/live/tokens.example.com/privkey.pem": str(self.certificate.key_file),
            NAME: "localhost",
            "listen 80": f"listen 127.0.0.1:{self.plain_port}",
            "listen 443": f"listen 127.0.0.1:{self.port}",
            "    listen [::]": "    # listen [::]",
            "/var/log/nginx/": f"{self.folder}/",
            "/var/www/html": str(self.folder),
        }
        for written, instead in {**spoilt, **changes}.items():
            assert written in site, written
            site = site.replace(written, instead)
        (self.folder / "site.conf").write_text(site)

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stderr=subprocess.DEVNULL)
        assert until(lambda: self._listens() or self._process.poll() is not None)
        assert self._process.poll() is None, self.complaints

    def reload(self) -> None:
        """As `systemctl reload nginx` does; comes back when new workers have begun."""
        before = self.workers
        os.kill(self._process.pid, signal.SIGHUP)
        assert until(lambda: len(self.workers - before) >= 2), self.complaints

    @property
    def workers(self) -> set[int]:
        pid = self._process.pid
        return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))

    def stop(self, number: int = signal.SIGTERM) -> None:
        self._process.send_signal(number)
        self._process.wait(15)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
