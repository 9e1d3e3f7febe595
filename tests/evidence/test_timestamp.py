from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from spiritsafe.errors import BrokenRecord, InputError, ResourceError
from spiritsafe.evidence.timestamp import Stamp, check, read_roots, stamped, time_of

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="the local authority is openssl's")

CONFIG = """
[req]
distinguished_name = name
[name]
[root]
basicConstraints = critical,CA:true
keyUsage = critical,keyCertSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical,CA:false
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[tsa]
default_tsa = here
[here]
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/leaf.pem
signer_key = {folder}/leaf.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
accuracy = secs:1
"""


class Authority:
    """A stamping authority of our own, on this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.says: bytes | None = None
        (folder / "ca.cnf").write_text(CONFIG.format(folder=folder))
        (folder / "serial").write_text("01")
        for name, subject in (("root", "/CN=Test root"), ("leaf", "/CN=Test authority")):
            self._run("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")
            self._run(
                "req", "-new", "-key", f"{name}.key", "-subj", subject, "-out", f"{name}.csr", "-config", "ca.cnf"
            )
        more = ["-days", "2", "-extfile", "ca.cnf", "-extensions"]
        self._run("x509", "-req", "-in", "root.csr", "-signkey", "root.key", "-out", "root.pem", *more, "root")
        signer = ["-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial"]
        self._run("x509", "-req", "-in", "leaf.csr", *signer, "-out", "leaf.pem", *more, "leaf")
        self.root = folder / "root.pem"

    def _run(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)

    def answer(self, request: bytes) -> bytes:
        if self.says is not None:
            return self.says
        (self.folder / "q").write_bytes(request)
        self._run("ts", "-reply", "-config", "ca.cnf", "-queryfile", "q", "-out", "r")
        return (self.folder / "r").read_bytes()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Authority, str]]:
    made = Authority(tmp_path_factory.mktemp("tsa"))

    class Desk(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            said = made.answer(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Desk)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield made, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join(120)
    server.server_close()


def test_a_stamp_tells_when_the_bytes_were_there(authority) -> None:
    made, url = authority
    stamp = stamped(url, b"a plan")
    roots = read_roots(made.root)
    when = check(stamp, b"a plan", roots, "plan")
    assert abs(when - datetime.now(UTC)) < timedelta(minutes=5)
    assert time_of(stamp, "plan") == when


def test_a_stamp_over_other_bytes_or_of_another_authority_does_not_hold(authority, tmp_path: Path) -> None:
    made, url = authority
    stamp = stamped(url, b"a plan")
    with pytest.raises(BrokenRecord, match="plan: its time stamp does not hold"):
        check(stamp, b"another plan", read_roots(made.root), "plan")
    (tmp_path / "other").mkdir()
    with pytest.raises(BrokenRecord, match="does not hold"):
        check(stamp, b"a plan", read_roots(Authority(tmp_path / "other").root), "plan")


def test_a_changed_stamp_does_not_hold(authority) -> None:
    made, url = authority
    stamp = stamped(url, b"a plan")
    changed = bytearray(stamp.response)
    changed[-20] ^= 1
    with pytest.raises(BrokenRecord):
        check(Stamp(stamp.request, bytes(changed)), b"a plan", read_roots(made.root), "plan")
    with pytest.raises(BrokenRecord, match="no time stamp"):
        time_of(Stamp(b"", b"nothing"), "plan")


def test_an_authority_that_talks_nonsense_or_is_not_there_is_named(authority) -> None:
    made, url = authority
    made.says = b"hello"
    try:
        with pytest.raises(ResourceError, match="no time stamp"):
            stamped(url, b"a plan")
        made.says = None
        made.says = stamped(url, b"a plan").response
        with pytest.raises(ResourceError, match="answers another request"):
            stamped(url, b"a plan")
    finally:
        made.says = None
    with pytest.raises(ResourceError, match="does not answer"):
        stamped("http://127.0.0.1:9/", b"a plan")
    with pytest.raises(InputError, match="no address"):
        stamped("file:///etc/passwd", b"a plan")


def test_certificates_that_are_none_are_named(tmp_path: Path) -> None:
    (tmp_path / "c.pem").write_text("none")
    with pytest.raises(InputError, match="there are no certificates"):
        read_roots(tmp_path / "c.pem")
