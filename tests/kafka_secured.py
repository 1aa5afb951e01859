"""A Kafka that lets in who has a password, over TLS with a certificate of our own.

Takes:    openssl on the path
Out:      ``SecuredKafka``: a broker whose second listener is SASL_SSL, and the CA that vouches for
          it; ``credentials`` as a deployment would give them, the password in a file
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from benchmarks.broker import KafkaServer, KafkaUnavailableError

USER = "flow"
PASSWORD = "pa55-of-the-tests"
MECHANISM = "SCRAM-SHA-512"

_MORE = """\
listeners=\\
  PLAINTEXT://127.0.0.1:{{broker}},\\
  CONTROLLER://127.0.0.1:{{controller}},\\
  SASL_SSL://127.0.0.1:{{secured}}
advertised.listeners=PLAINTEXT://127.0.0.1:{{broker}},SASL_SSL://localhost:{{secured}}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL
sasl.enabled.mechanisms={mechanism}
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=\\
  org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
"""


def authority(folder: Path, name: str) -> Path:
    """A certificate authority; the path of its certificate, its key beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    certificate = folder / f"{name}.crt"
    key = certificate.with_suffix(".key")
    _openssl(
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
        "-keyout", key, "-out", certificate,
    )  # fmt: skip
    return certificate


def keystore(folder: Path, ca: Path) -> Path:
    """A PEM file with a key and a certificate for ``localhost``, signed by the authority."""
    key, request, certificate = (folder / f"server.{each}" for each in ("key", "csr", "crt"))
    names = folder / "names"
    names.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
    _openssl(
        "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost",
        "-keyout", key, "-out", request,
    )  # fmt: skip
    _openssl(
        "x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca.with_suffix(".key"),
        "-CAcreateserial", "-days", "2", "-extfile", names, "-out", certificate,
    )  # fmt: skip
    path = folder / "server.pem"
    path.write_text(key.read_text() + certificate.read_text())
    return path


def _openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)


class SecuredKafka(KafkaServer):
    """One broker with a listener for everybody, for the tests' own eyes, and one with TLS."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("openssl") is None:
            raise KafkaUnavailableError("no `openssl` on the path")
        self.ca = authority(folder, "ca")
        more = _MORE.format(mechanism=MECHANISM, keystore=keystore(folder, self.ca))
        user = f"{MECHANISM}=[name={USER},password={PASSWORD}]"
        super().__init__(folder, more=more, scram=[user])

    def credentials(self, folder: Path) -> dict[str, str]:
        """Variables of a process that may come in."""
        password = folder / "password"
        password.write_text(f"{PASSWORD}\n")
        return {
            "FLOWSELL_KAFKA": self.secured,
            "FLOWSELL_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "FLOWSELL_KAFKA_SASL_MECHANISM": MECHANISM,
            "FLOWSELL_KAFKA_SASL_USERNAME": USER,
            "FLOWSELL_KAFKA_SASL_PASSWORD_FILE": str(password),
            "FLOWSELL_KAFKA_SSL_CA_LOCATION": str(self.ca),
        }
