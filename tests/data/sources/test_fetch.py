"""Downloads from a server that cuts, lies, refuses and logs in."""

import hashlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import gdown
import numpy as np
import pytest
import requests

from pigan.data.sources import transfer
from pigan.data.sources.catalog import Remote
from pigan.data.sources.fetch import Unavailable, fetch
from pigan.errors import PiganError

BODY = np.random.default_rng(0).bytes(200_000)
MD5 = hashlib.md5(BODY).hexdigest()
LOGIN = b"<!DOCTYPE html>\n<html><head><title>Sign in\n to go on</title></head><body>hello</body></html>"


def remote(*urls: str, **changes: Any) -> Remote:
    return Remote("data.bin", urls, **{"md5": MD5, **changes})


def left_over(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {".data.bin.lock"}


def told(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err


def test_file_is_fetched_once(server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = remote(server.add("data.bin", BODY))
    for _ in range(2):
        assert fetch(file, tmp_path / "new" / "folder").read_bytes() == BODY
    assert len(server.asked) == 1
    assert left_over(tmp_path / "new" / "folder") == {"data.bin"}
    assert "download data.bin: 200 kB/200 kB, " in told(capsys)


@pytest.mark.parametrize("md5", [MD5, None])
@pytest.mark.parametrize("chunked", [False, True])
def test_cut_connections_are_taken_up_again(
    server: Any, tmp_path: Path, md5: str | None, chunked: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    file = remote(server.add("data.bin", BODY, cuts=[50_000, 1_000, 0, 70_000], chunked=chunked), md5=md5)
    assert fetch(file, tmp_path).read_bytes() == BODY
    assert [span for _, span in server.asked] == [
        None, "bytes=50000-", "bytes=51000-", "bytes=51000-", "bytes=121000-",
    ]  # fmt: skip
    assert server.sent == len(BODY)
    assert "the connection broke off" in told(capsys)


def test_next_run_goes_on_where_the_last_one_stopped(server: Any, tmp_path: Path) -> None:
    file = remote(server.add("data.bin", BODY, cuts=[150_000], statuses=[]))
    server.files["/data.bin"].cuts += [0] * transfer.TRIES
    with pytest.raises(Unavailable, match="6 times in a row"):
        fetch(file, tmp_path)
    assert left_over(tmp_path) == {"data.bin.part", "data.bin.part.json"}
    before = server.sent
    assert fetch(file, tmp_path).read_bytes() == BODY
    assert server.sent - before == 50_000
    assert left_over(tmp_path) == {"data.bin"}


def test_server_that_ignores_ranges_starts_again(server: Any, tmp_path: Path) -> None:
    file = remote(server.add("data.bin", BODY, cuts=[50_000], ranges=False))
    assert fetch(file, tmp_path).read_bytes() == BODY
    assert server.sent == 50_000 + len(BODY)


@pytest.mark.parametrize("md5", [True, False])
@pytest.mark.parametrize("honest", [True, False])
def test_file_that_changed_meanwhile_is_fetched_from_the_start(
    server: Any, tmp_path: Path, md5: bool, honest: bool
) -> None:
    newer = BODY[::-1]
    file = remote(
        server.add("data.bin", BODY, cuts=[50_000, *[0] * transfer.TRIES]),
        md5=hashlib.md5(newer).hexdigest() if md5 else None,
    )
    with pytest.raises(Unavailable):
        fetch(file, tmp_path)
    server.add("data.bin", newer, etag='"two"', if_range=honest)
    assert fetch(file, tmp_path).read_bytes() == newer


def test_beginning_without_proof_is_not_trusted(server: Any, tmp_path: Path) -> None:
    url = server.add("data.bin", BODY, etag=None)
    (tmp_path / "data.bin.part").write_bytes(b"x" * 1000)
    assert fetch(remote(url, md5=None), tmp_path).read_bytes() == BODY
    assert [span for _, span in server.asked] == [None]


def test_spoilt_beginning_costs_a_second_attempt(
    server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data.bin.part").write_bytes(b"x" * 1000)
    assert fetch(remote(server.add("data.bin", BODY)), tmp_path).read_bytes() == BODY
    assert [span for _, span in server.asked] == ["bytes=1000-", None]
    assert "not the published" in told(capsys)


def test_beginning_from_one_source_is_used_with_the_next(server: Any, tmp_path: Path) -> None:
    first = server.add("first/data.bin", BODY, cuts=[120_000], etag='"a"')
    server.files["/first/data.bin"].cuts += [0] * transfer.TRIES
    second = server.add("second/data.bin", BODY, etag='"b"')
    assert fetch(remote(first, second), tmp_path).read_bytes() == BODY
    assert server.sent == len(BODY) and server.asked[-1] == ("/second/data.bin", "bytes=120000-")


@pytest.mark.parametrize("extra", [0, 1])
def test_beginning_that_is_whole_or_longer(server: Any, tmp_path: Path, extra: int) -> None:
    (tmp_path / "data.bin.part").write_bytes(BODY + b"x" * extra)
    assert fetch(remote(server.add("data.bin", BODY)), tmp_path).read_bytes() == BODY
    assert server.sent == (len(BODY) if extra else 0)


@pytest.mark.parametrize("status", [500, 503, 429])
def test_passing_trouble_is_waited_for(server: Any, tmp_path: Path, status: int) -> None:
    file = remote(server.add("data.bin", BODY, statuses=[status] * 3))
    assert fetch(file, tmp_path).read_bytes() == BODY
    assert len(server.asked) == 4


@pytest.mark.parametrize(
    ("faults", "why", "requests_to_first"),
    [
        ({"statuses": [403]}, "403 Forbidden", 1),
        ({"statuses": [404]}, "404 Not Found", 1),
        ({"statuses": [500] * 9}, "500 Internal Server Error, 6 times in a row", 6),
        ({"body": LOGIN, "content_type": "text/html; charset=utf-8"}, r'web page \("Sign in to go on"\) came', 1),
        ({"body": LOGIN}, r'web page \("Sign in to go on"\) came', 1),
        ({"body": LOGIN, "content_type": "text/html", "headers": {"Content-Encoding": "identity"}}, "Sign in", 1),
        ({"body": BODY[::-1]}, f"its md5 is [0-9a-f]{{32}}, not the published {MD5}", 1),
        ({"body": b""}, "it has 0 bytes", 1),
        ({"declared": 300_000, "ranges": False}, "broke off after 200000 of 300000 bytes, 6 times", 7),
        ({"declared": 150_000}, "its md5 is", 1),
    ],
)
def test_next_source_is_tried_and_the_fault_is_told(
    server: Any,
    tmp_path: Path,
    faults: dict[str, Any],
    why: str,
    requests_to_first: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = server.add("first", **{"body": BODY, **faults})
    assert fetch(remote(first, server.add("second", BODY)), tmp_path).read_bytes() == BODY
    lines = [line for line in told(capsys).splitlines() if "is not to be had from" in line]
    assert len(lines) == 1 and lines[0].startswith("download: data.bin is not to be had from 127.0.0.1: ")
    assert re.search(why, lines[0])
    assert [path for path, _ in server.asked].count("/first") == requests_to_first
    assert left_over(tmp_path) == {"data.bin"}


def test_published_size_saves_a_wrong_download(server: Any, tmp_path: Path) -> None:
    file = remote(server.add("data.bin", BODY + b"more"), size=len(BODY))
    with pytest.raises(Unavailable, match="its file has 200004 bytes instead of 200000"):
        fetch(file, tmp_path)
    assert not left_over(tmp_path)


def test_archive_without_checksum_must_at_least_be_whole(server: Any, tmp_path: Path, archives: Any) -> None:
    body = archives["carla.zip"]
    cut = Remote("carla.zip", (server.add("cut", body[:-30]),))
    with pytest.raises(Unavailable, match="it is no complete zip archive"):
        fetch(cut, tmp_path)
    assert fetch(Remote("carla.zip", (server.add("whole", body),)), tmp_path).read_bytes() == body


def test_another_file_may_do_as_well(server: Any, tmp_path: Path) -> None:
    other = Remote("other.bin", (server.add("other.bin", b"other"),))
    file = remote(f"{server.url}/none", otherwise=other)
    for _ in range(2):
        assert fetch(file, tmp_path).name == "other.bin"
    assert len(server.asked) == 2


def test_every_reason_is_in_one_line(server: Any, tmp_path: Path) -> None:
    file = remote(f"{server.url}/none", server.add("login", LOGIN), "http://127.0.0.1:9/refused")
    with pytest.raises(Unavailable) as caught:
        fetch(file, tmp_path)
    assert str(caught.value) == (
        'data.bin could not be downloaded (127.0.0.1: 404 Not Found; 127.0.0.1: a web page ("Sign in to go on") came'
        " instead of the file; 127.0.0.1: cannot connect (Connection refused))"
    )


def test_silent_server_is_given_up(server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "SILENCE_SECONDS", 0.1)
    monkeypatch.setattr(transfer, "TRIES", 2)
    with pytest.raises(Unavailable, match="no answer for 0 s, 2 times in a row"):
        fetch(remote(server.add("data.bin", BODY, silence=0.5)), tmp_path)


def test_wrong_file_put_there_by_hand_is_kept_and_told(server: Any, tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(b"mine")
    with pytest.raises(PiganError, match=r"data\.bin: its md5 is .* delete it and run the same command again"):
        fetch(remote(server.add("data.bin", BODY)), tmp_path)
    assert (tmp_path / "data.bin").read_bytes() == b"mine" and not server.asked


def test_full_disk_is_one_line_and_keeps_what_came(server: Any, small_disk: Path) -> None:
    file = remote(server.add("data.bin", BODY * 10), md5=None)
    with pytest.raises(PiganError, match=r"the disk is full; free some space and run the same command again"):
        fetch(file, small_disk)
    assert left_over(small_disk) == {"data.bin.part", "data.bin.part.json"}


def test_second_run_waits_for_the_first(server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = remote(server.add("data.bin", BODY, pause=0.01))
    threads = [threading.Thread(target=fetch, args=(file, tmp_path)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "data.bin").read_bytes() == BODY
    assert len(server.asked) == 1
    assert len(re.findall(r"data\.bin: (another run|process \d+ on \S+) is at it; waiting", told(capsys))) == 1


def test_killed_run_is_taken_up_by_the_next(server: Any, tmp_path: Path) -> None:
    url = server.add("data.bin", BODY, pause=0.02)
    code = (
        "from pathlib import Path; from pigan.data.sources.catalog import Remote;"
        "from pigan.data.sources.fetch import fetch;"
        f"fetch(Remote('data.bin', ({url!r},), md5={MD5!r}), Path({str(tmp_path)!r}))"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    part = tmp_path / "data.bin.part"
    while process.poll() is None and transfer.size_of(part) < 60_000:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    came = part.stat().st_size
    assert came >= 60_000 and not (tmp_path / "data.bin").exists()
    server.files["/data.bin"].pause = 0.0
    assert fetch(remote(url), tmp_path).read_bytes() == BODY
    assert server.asked == [("/data.bin", None), ("/data.bin", f"bytes={came}-")]


def test_proxy_of_the_environment_is_used(server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # a proxy is asked for the whole address, of a host that only it knows
    server.add("data.bin", BODY)
    server.files["http://data.invalid/data.bin"] = server.files["/data.bin"]
    monkeypatch.setenv("http_proxy", server.url)
    assert fetch(remote("http://data.invalid/data.bin"), tmp_path).read_bytes() == BODY
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with pytest.raises(Unavailable, match="the proxy cannot be reached, or refuses"):
        fetch(remote("http://data.invalid/data.bin"), tmp_path / "again")


def test_unknown_host_and_no_network_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"host\.invalid: cannot connect \(.+\)"):
        fetch(remote("http://host.invalid/data.bin"), tmp_path)


DRIVE = "https://drive.google.com/file/d/0B7EVK8r0v71pZjFTYXZWM3FlRnM/view?resourcekey=0-dYn9z10tMJOBAkviAcfdyQ"


@pytest.fixture
def drive(server: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The local server in Drive's place, asked by the real gdown."""
    get = requests.Session.get
    monkeypatch.setattr(
        requests.Session,
        "get",
        lambda self, url, **kw: get(self, url.replace("https://drive.google.com", server.url), **kw),
    )
    return server


def test_drive_is_left_to_gdown(server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fake(url: str, output: str, progress: Any, **options: Any) -> None:
        asked.append((url, options["use_cookies"], options["resume"]))
        Path(output).write_bytes(BODY)
        progress(100_000, 200_000)
        progress(200_000, 200_000)

    monkeypatch.setattr(gdown, "download", fake)
    assert fetch(remote(DRIVE), tmp_path).read_bytes() == BODY
    assert asked == [(DRIVE, False, True)]
    assert left_over(tmp_path) == {"data.bin"}


def test_real_gdown_fetches_and_goes_on(drive: Any, tmp_path: Path) -> None:
    body = BODY * 10
    drive.add("uc", body, headers={"Content-Disposition": 'attachment; filename="a.bin"'}, cuts=[1_500_000])
    assert fetch(remote(DRIVE, md5=hashlib.md5(body).hexdigest()), tmp_path).read_bytes() == body
    assert left_over(tmp_path) == {"data.bin"}
    # it reads in pieces of half a MiB
    assert len(body) < drive.sent < len(body) + 600_000


def test_drive_that_cannot_go_on_starts_again(drive: Any, tmp_path: Path) -> None:
    header = {"Content-Disposition": 'attachment; filename="a.bin"'}
    body = BODY * 10
    drive.add("uc", body, headers=header, cuts=[1_500_000], ranges=False)
    assert fetch(remote(DRIVE, md5=hashlib.md5(body).hexdigest()), tmp_path).read_bytes() == body
    assert left_over(tmp_path) == {"data.bin"}


@pytest.mark.parametrize(
    ("page", "why"),
    [
        (b'<html><p class="uc-error-subcaption">Too many users have viewed this file.</p></html>', "Too many users"),
        (LOGIN, "Cannot retrieve the public link"),
    ],
)
def test_pages_of_drive_are_one_line(drive: Any, tmp_path: Path, page: bytes, why: str) -> None:
    drive.add("uc", page, content_type="text/html")
    with pytest.raises(Unavailable, match=f"drive.google.com: .*{why}") as caught:
        fetch(remote(DRIVE), tmp_path)
    assert "\n" not in str(caught.value)
    assert not left_over(tmp_path)


def test_drive_without_network_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(Unavailable, match=r"\(drive\.google\.com: the proxy cannot be reached, or refuses\)$"):
        fetch(remote(DRIVE), tmp_path)
