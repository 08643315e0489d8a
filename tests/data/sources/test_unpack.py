"""Archives that want to do harm, and those that are broken."""

import io
import os
import re
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pigan.data.sources import unpack as module
from pigan.data.sources.unpack import Guard, Member, Refused, is_archive, safe_path, unpack
from pigan.errors import PiganError

TARS = {"a.tar": "w", "a.tar.gz": "w:gz", "a.tgz": "w:gz", "a.tar.bz2": "w:bz2", "a.tar.xz": "w:xz", "A.TXZ": "w:xz"}
CONTENT = bytes(range(256)) * 40


def make_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            # as it is, without the library's tidying
            info = zipfile.ZipInfo("x")
            info.filename, info.compress_type = name, zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return path


def make_tar(path: Path, members: dict[str, bytes], **changes: Any) -> Path:
    with tarfile.open(path, TARS.get(path.name, "w")) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in changes.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(content))
    return path


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "in" / "out"
    folder.mkdir(parents=True)
    return folder


def check_refused(archive: Path, out: Path, told: str) -> None:
    with pytest.raises(PiganError, match=told) as caught:
        unpack(archive, out)
    assert "\n" not in str(caught.value) and str(archive) in str(caught.value)
    # whatever happened, it happened inside
    assert {path.name for path in out.parent.iterdir()} == {"out"}
    assert all(path.is_dir() or (path.is_file() and not path.is_symlink()) for path in out.rglob("*"))


@pytest.mark.parametrize("name", ["a.zip", *TARS])
def test_members_come_out_with_their_folders(name: str, tmp_path: Path, out: Path) -> None:
    members = {"a.png": CONTENT, "sub/deep/ü.png": b"2", "sub/empty.png": b"", "./dot/b.txt": b"3"}
    make = make_zip if name.endswith(".zip") else make_tar
    archive = make(tmp_path / name, members)
    assert is_archive(archive)
    assert unpack(archive, out, lambda path: path.suffix == ".png") == 3
    assert files(out) == {"a.png": CONTENT, "sub/deep/ü.png": b"2", "sub/empty.png": b""}


def test_folders_of_an_archive_are_no_files(tmp_path: Path, out: Path) -> None:
    zipped = make_zip(tmp_path / "a.zip", {"one/": b"", "one/a": b"1", "two\\b": b"2"})
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(info := tarfile.TarInfo("three"))
        info.type = tarfile.DIRTYPE
        archive.addfile(info)
    with pytest.raises(PiganError, match="'three' is refused: another member has its name"):
        unpack(tmp_path / "a.tar", out)
    assert unpack(zipped, out) == 2
    assert files(out) == {"one/a": b"1", "two/b": b"2", "three": b""}


BAD_NAMES = [
    ("/etc/passwd", "absolute"),
    ("\\windows\\a", "absolute"),
    ("C:/a.png", "absolute"),
    ("c:a.png", "absolute"),
    ("../a.png", "outside"),
    ("a/../../b.png", "outside"),
    ("a\\..\\..\\b.png", "outside"),
    ("..", "outside"),
    ("a\nb.png", "no text"),
    ("a\x1b[2Jb", "no text"),
    ("x" * 300, "too long"),
    ("abc/" * 300 + "a", "too long"),
]


@pytest.mark.parametrize("make", [make_zip, make_tar])
@pytest.mark.parametrize(("name", "why"), BAD_NAMES)
def test_unsafe_names_are_refused_by_name(
    make: Callable[..., Path], name: str, why: str, tmp_path: Path, out: Path
) -> None:
    archive = make(tmp_path / ("a.zip" if make is make_zip else "a.tar"), {"fine.png": b"1", name: b"2"})
    check_refused(archive, out, rf"member {re.escape(repr(name))} is refused: its .*{why}")


@pytest.mark.parametrize("make", [make_zip, make_tar])
@pytest.mark.parametrize("second", ["a/B.png", "A/b.PNG", "a/b.png/c", "a//b.png", "./a/b.png"])
def test_names_that_collide_are_refused(make: Callable[..., Path], second: str, tmp_path: Path, out: Path) -> None:
    archive = make(tmp_path / ("a.zip" if make is make_zip else "a.tar"), {"a/b.png": b"1", second: b"2"})
    check_refused(archive, out, "is refused: another member has its name, upper and lower case being the same")


def test_composed_and_decomposed_letters_are_the_same_name(tmp_path: Path, out: Path) -> None:
    check_refused(
        make_zip(tmp_path / "a.zip", {"\u00e9.png": b"1", "e\u0301.png": b"2"}), out, "another member has its name"
    )


def test_second_archive_does_not_replace_what_the_first_brought(tmp_path: Path, out: Path) -> None:
    assert unpack(make_zip(tmp_path / "a.zip", {"a": b"1", "b": b"1"}), out) == 2
    check_refused(
        make_zip(tmp_path / "b.zip", {"a": b"2"}), out, "'a' is refused: a file of that name has come from somewhere"
    )
    check_refused(make_zip(tmp_path / "c.zip", {"b/c": b"2"}), out, "'b/c' is refused: a file of that name has come")
    assert files(out) == {"a": b"1", "b": b"1"}


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"?"]
)
def test_links_and_devices_of_tar_are_refused(kind: bytes, tmp_path: Path, out: Path) -> None:
    archive = make_tar(tmp_path / "a.tar", {"bad": b""}, type=kind, linkname="/etc/passwd")
    check_refused(archive, out, "member 'bad' is refused: it is a link or a device")


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK])
def test_links_and_devices_of_zip_are_refused(mode: int, tmp_path: Path, out: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        info = zipfile.ZipInfo("bad")
        info.external_attr = (mode | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    check_refused(tmp_path / "a.zip", out, "member 'bad' is refused: it is a link or a device")


def test_link_in_front_of_a_file_leads_nowhere(tmp_path: Path, out: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        link = tarfile.TarInfo("images")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("images/a.png"))
    check_refused(tmp_path / "a.tar", out, "member 'images' is refused")
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_bombs_are_refused_before_they_go_off(
    make: Callable[..., Path], tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FREE_BYTES", 1 << 20)
    archive = make(tmp_path / ("a.zip" if make is make_zip else "a.tar.gz"), {f"{n}": bytes(1 << 19) for n in range(9)})
    check_refused(archive, out, r"member '[2-9]' is refused: with it \d+ bytes would become \d+, as in a bomb")
    assert sum(len(content) for content in files(out).values()) <= max(1 << 20, 100 * archive.stat().st_size)


def test_too_many_members_are_refused(tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MEMBERS", 3)
    check_refused(
        make_zip(tmp_path / "a.zip", {str(n): b"" for n in range(5)}), out, "member '3' is refused: it is one more"
    )


def test_member_that_has_more_than_it_says(tmp_path: Path, out: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {"a": CONTENT})
    content = archive.read_bytes()
    lie = content.replace(len(CONTENT).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    assert lie != content
    archive.write_bytes(lie)
    check_refused(archive, out, "damaged, incomplete or no archive at member 'a'")
    member = Member("b", 10, 10, False, None, lambda: io.BytesIO(CONTENT))
    with pytest.raises(Refused, match="it has more than the 10 bytes that it says"):
        module._write(member, out / "b")


def test_encrypted_member_is_named(tmp_path: Path, out: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {"a": CONTENT})
    content = bytearray(archive.read_bytes())
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(bytes(content))
    check_refused(archive, out, "member 'a' is refused: it is encrypted, so unpack it yourself and name the folder")


@pytest.mark.parametrize("name", ["a.zip", *TARS])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.8])
def test_truncated_archives_are_told(name: str, share: float, tmp_path: Path, out: Path) -> None:
    make = make_zip if name.endswith(".zip") else make_tar
    noise = np.random.default_rng(0).bytes(40_000)
    archive = make(tmp_path / name, {"a": noise, "b": noise})
    content = archive.read_bytes()
    archive.write_bytes(content[: int(len(content) * share)])
    check_refused(archive, out, r"damaged.*; fetch it again")


def test_tar_cut_between_two_members_is_told(tmp_path: Path, out: Path) -> None:
    archive = make_tar(tmp_path / "a.tar", {"a": bytes(512), "b": bytes(512)})
    archive.write_bytes(archive.read_bytes()[:1024])
    check_refused(archive, out, "damaged, incomplete or no archive at member 'a' .its end is missing")


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tar.bz2", "a.tar.xz"])
def test_flipped_bits_are_told_with_the_member(name: str, tmp_path: Path, out: Path) -> None:
    noise = np.random.default_rng(0).bytes(400_000)
    make = make_zip if name.endswith(".zip") else make_tar
    archive = make(tmp_path / name, {"a": b"1", "b": noise})
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 0xFF
    archive.write_bytes(bytes(content))
    check_refused(archive, out, "damaged.* member 'b'|damaged, incomplete or no archive")


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
def test_what_is_no_archive_is_told(name: str, tmp_path: Path, out: Path) -> None:
    (tmp_path / name).write_text("<html>no archive</html>" * 100)
    check_refused(tmp_path / name, out, "damaged, incomplete or no archive")


def test_progress_reaches_the_end(tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unpack(make_tar(tmp_path / "a.tar.gz", {str(n): CONTENT for n in range(20)}), out)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and re.fullmatch(r"unpack a.tar.gz: (\S+ k?B)/\1, .*B/s, 00:00 left", lines[0])


names = st.text(st.one_of(st.sampled_from("./\\:ABab\0\n"), st.characters()), max_size=30)


@given(names)
def test_any_name_stays_inside_or_is_refused(name: str) -> None:
    base = Path("/base/out")
    try:
        path = safe_path(name)
    except Refused:
        return
    inside = Path(os.path.normpath(base / path))
    assert inside == base / path and (inside == base or base in inside.parents)
    assert "\\" not in str(path) and "\0" not in str(path) and str(path).encode()
    assert safe_path(str(path)) == path


@given(st.lists(names, max_size=12))
def test_admitted_names_are_apart_on_any_file_system(listed: list[str]) -> None:
    guard, admitted = Guard(packed=1), []
    for name in listed:
        try:
            admitted.append(guard.admit(Member(name, 0, 0, False, None, io.BytesIO)))
        except Refused:
            continue
    keys = [str(path).casefold() for path in admitted]
    assert len(set(keys)) == len(keys)
    assert not {str(parent).casefold() for path in admitted for parent in path.parents} & set(keys)
