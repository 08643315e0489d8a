"""Files appear whole or not at all, and errors of the disk are one line."""

import contextlib
import errno
import functools
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pigan import files
from pigan.errors import PiganError
from pigan.files import atomic_file, check_place, read_json, sha256_file, work_root, write_json

FULL = r"out\.bin: the disk is full; free some space and run the same command again"
REFUSED = r"out\.bin: no permission to write here; choose another folder or change its rights"
ERRORS = [
    (errno.ENOSPC, FULL),
    (errno.EDQUOT, FULL),
    (errno.EFBIG, r"out\.bin: larger than files may be here"),
    (errno.EACCES, REFUSED),
    (errno.EPERM, REFUSED),
    (errno.EROFS, REFUSED),
]
Atomic = Callable[[Path], AbstractContextManager[Path]]
MARK = "a.txt"
atomic_directory = functools.partial(files.atomic_directory, mark=MARK)


def fill(temporary: Path, text: str) -> None:
    """One file, be it the file itself or one in the directory."""
    (temporary / "a.txt" if temporary.is_dir() else temporary).write_text(text)


def content(path: Path) -> str:
    return (path / "a.txt" if path.is_dir() else path).read_text()


def raises(number: int) -> Callable[..., None]:
    def function(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    return function


def fail_half_way(atomic: Atomic, out: Path, error: BaseException) -> None:
    with atomic(out) as temporary:
        fill(temporary, "half")
        raise error


both = pytest.mark.parametrize("atomic", [atomic_file, atomic_directory], ids=["file", "directory"])


@both
def test_result_appears_at_the_end_of_the_block_in_new_folders(atomic: Atomic, tmp_path: Path) -> None:
    out = tmp_path / "some" / "where" / "out.bin"
    with atomic(out) as temporary:
        fill(temporary, "new")
        assert not out.exists() and temporary.parent == out.parent
        assert temporary.name.startswith(".out.bin.")
    assert content(out) == "new"
    assert list(out.parent.iterdir()) == [out]


@both
def test_result_replaces_the_old_one(atomic: Atomic, tmp_path: Path) -> None:
    out = tmp_path / "out.bin"
    for text in ("old", "new"):
        with atomic(out) as temporary:
            fill(temporary, text)
    assert content(out) == "new"
    assert list(tmp_path.iterdir()) == [out]


@both
@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), SystemExit(3), PiganError("told")])
def test_failure_leaves_nothing_behind_and_the_old_result(atomic: Atomic, error: BaseException, tmp_path: Path) -> None:
    out = tmp_path / "out.bin"
    for old in (None, "old"):
        if old:
            with atomic(out) as temporary:
                fill(temporary, old)
        with pytest.raises(type(error)) as caught:
            fail_half_way(atomic, out, error)
        assert caught.value is error
        assert list(tmp_path.iterdir()) == ([out] if old else [])
    assert content(out) == "old"


@both
@pytest.mark.parametrize(("number", "told"), ERRORS)
def test_errors_of_the_disk_are_explained(
    atomic: Atomic, number: int, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.bin"
    with atomic(out) as temporary:
        fill(temporary, "old")

    begin = "tempfile.mkstemp" if atomic is atomic_file else "tempfile.mkdtemp"
    for function in (begin, "pathlib.Path.mkdir", "pathlib.Path.write_text"):
        with monkeypatch.context() as patch:
            patch.setattr(function, raises(number))
            with pytest.raises(PiganError, match=told) as caught, atomic(out) as temporary:
                fill(temporary, "new")
        assert "\n" not in str(caught.value)
        assert list(tmp_path.iterdir()) == [out] and content(out) == "old"


@pytest.mark.parametrize("function", ["os.replace", "os.fsync"])
def test_disk_that_fills_up_at_the_last_moment_keeps_the_old_file(
    function: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.bin"
    out.write_text("old")
    monkeypatch.setattr(function, raises(errno.ENOSPC))
    with pytest.raises(PiganError, match=FULL), atomic_file(out) as temporary:
        temporary.write_text("new")
    assert list(tmp_path.iterdir()) == [out] and out.read_text() == "old"


def test_directory_that_cannot_be_put_in_place_keeps_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, replace = tmp_path / "out.bin", os.replace
    with atomic_directory(out) as temporary:
        fill(temporary, "old")

    def refuse(source: Path, target: Path) -> None:
        if target == out and content(source) == "new":
            raise OSError(errno.EACCES, "no")
        replace(source, target)

    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(PiganError, match=REFUSED), atomic_directory(out) as temporary:
        fill(temporary, "new")
    assert list(tmp_path.iterdir()) == [out] and content(out) == "old"


def test_old_directory_is_never_seen_half_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, deleted = tmp_path / "out.bin", []
    for text in ("old", "new"):
        with atomic_directory(out) as temporary:
            fill(temporary, text)
            # from here on, what is deleted is not what is called `out`
            monkeypatch.setattr("shutil.rmtree", lambda path, **_: deleted.append(path))
    assert deleted and out not in deleted and content(out) == "new"


def test_of_two_runs_at_once_the_last_one_stays_and_both_end_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, replace = tmp_path / "out.bin", os.replace

    def overtaken(source: Path, target: Path) -> None:
        if target == out and content(source) == "new" and not out.exists():
            monkeypatch.setattr("os.replace", replace)
            with atomic_directory(out) as temporary:
                fill(temporary, "the other's")
        replace(source, target)

    for old in (None, "old"):
        if old:
            with atomic_directory(out) as temporary:
                fill(temporary, old)
        monkeypatch.setattr("os.replace", overtaken)
        with atomic_directory(out) as temporary:
            fill(temporary, "new")
        assert content(out) == "new" and list(tmp_path.iterdir()) == [out]


def test_what_a_killed_run_left_is_cleared_but_not_what_another_still_fills(tmp_path: Path) -> None:
    out = tmp_path / "out"
    dying = (
        "import os, pathlib, sys; from pigan.files import atomic_directory\n"
        "with atomic_directory(pathlib.Path(sys.argv[1]), 'a.txt') as temporary:\n"
        "    (temporary / 'a.txt').write_text('half'); os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", dying, str(out)], check=False).returncode == -9
    (remains,) = tmp_path.iterdir()
    with atomic_directory(out) as filling:
        fill(filling, "first")
        for folder in (remains, filling):
            os.utime(folder, (0, 0))
        with atomic_directory(out) as temporary:
            fill(temporary, "second")
            assert not remains.exists() and filling.exists()
    assert content(out) == "first" and list(tmp_path.iterdir()) == [out]


def test_work_is_in_the_folder_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIGAN_WORK", raising=False)
    assert work_root() == Path("work")
    monkeypatch.setenv("PIGAN_WORK", "/scratch/me")
    assert work_root() == Path("/scratch/me")


@both
def test_other_errors_of_the_system_are_passed_on(atomic: Atomic, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="input"), atomic(tmp_path / "out.bin"):
        raise OSError(errno.EIO, "input or output")
    assert not list(tmp_path.iterdir())


def test_really_full_disk_is_explained(small_disk: Path) -> None:
    out = small_disk / "out.bin"
    out.write_bytes(b"old")
    with pytest.raises(PiganError, match=FULL), atomic_file(out) as temporary:
        temporary.write_bytes(bytes(4 << 20))
    assert list(small_disk.iterdir()) == [out] and out.read_bytes() == b"old"


@both
def test_rights_are_those_of_any_new_file(atomic: Atomic, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with atomic(tmp_path / "out.bin"):
            pass
    finally:
        os.umask(before)
    expected = 0o640 if atomic is atomic_file else 0o750
    assert (tmp_path / "out.bin").stat().st_mode & 0o777 == expected


def test_directory_replaces_a_link_but_not_what_it_points_to(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / MARK).write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with atomic_directory(tmp_path / "link") as temporary:
        (temporary / "a.txt").write_text("new")
    assert (tmp_path / "link").is_dir() and not (tmp_path / "link").is_symlink()
    assert (tmp_path / "elsewhere" / MARK).read_text() == "kept"


def test_what_is_no_former_output_is_never_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("photos/1.jpg", "photos/notes/diary.txt", "mine", "project/params.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("kept")
    monkeypatch.chdir(tmp_path / "project")
    for name, told in {
        "photos": r"photos: would be replaced, and holds what is no former output \(1\.jpg, notes\)",
        "mine": "mine: is a file where a folder is to be written",
        "project": "project: is the folder you are in",
        ".": "is the folder you are in, or above it",
    }.items():
        with pytest.raises(PiganError, match=told), atomic_directory(tmp_path / name):
            pytest.fail("the work began")
    assert sum(path.read_text() == "kept" for path in tmp_path.rglob("*") if path.is_file()) == 4


def test_folder_that_an_engine_emptied_is_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".snakemake_timestamp").touch()
    # it makes the folders of the files that it waits for
    (tmp_path / "out" / "figures" / "small").mkdir(parents=True)
    with atomic_directory(tmp_path / "out") as temporary:
        fill(temporary, "new")
    assert content(tmp_path / "out") == "new"


def test_folder_of_which_an_engine_deleted_what_it_knows_is_filled(tmp_path: Path) -> None:
    (tmp_path / "out" / "figures").mkdir(parents=True)
    (tmp_path / "out" / "figures" / "further.png").touch()
    with pytest.raises(PiganError, match=r"no former output \(figures\)"), atomic_directory(tmp_path / "out"):
        pytest.fail("the work began")
    with atomic_directory(tmp_path / "out", parts=("figures",)) as temporary:
        fill(temporary, "new")
    assert [path.name for path in (tmp_path / "out").iterdir()] == [MARK]


def test_places_that_cannot_be_written_are_told_before_the_work(tmp_path: Path) -> None:
    check_place(tmp_path / "new" / "folder" / "out.npz")
    (tmp_path / "file").touch()
    with pytest.raises(PiganError, match="file is a file and no folder; name another place"):
        check_place(tmp_path / "file" / "below" / "out.npz")
    with pytest.raises(PiganError, match="name too long; name another place"):
        check_place(tmp_path / ("x" * 300) / "out")
    with pytest.raises(PiganError, match="no permission to write here"):
        check_place(Path("/proc/1/out"))


def test_temporary_file_has_the_ending_that_libraries_look_at(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "picture.png") as temporary:
        assert temporary.suffix == ".png"


def test_json_comes_back_and_ends_with_a_line(tmp_path: Path) -> None:
    value = {"b": [1, 2.5, None], "a": "ü"}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value
    assert (tmp_path / "a.json").read_text().endswith("}\n")


def test_json_without_a_number_is_refused_and_the_old_file_kept(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", 1)
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a.json", float("nan"))
    assert read_json(tmp_path / "a.json") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("text", [b"", b"{", b'{"a": 1', b"\xff\xfe"])
def test_broken_json_is_one_line(text: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(text)
    with pytest.raises(PiganError, match=r"a\.json: cannot be read .* delete it and run its stage again") as caught:
        read_json(tmp_path / "a.json")
    assert "\n" not in str(caught.value)


def test_missing_json_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(PiganError, match=r"a\.json: no such file; run the stage that writes it first"):
        read_json(tmp_path / "a.json")
    with pytest.raises(PiganError, match="cannot be read"):
        read_json(tmp_path)


def test_hash_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_file(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()
    big = bytes(range(256)) * 5000
    (tmp_path / "b").write_bytes(big)
    assert sha256_file(tmp_path / "b") == hashlib.sha256(big).hexdigest()


def test_numpy_on_a_really_full_disk_is_explained(small_disk: Path) -> None:
    """It raises an error without a number, unlike Python."""
    with pytest.raises(PiganError, match=FULL), atomic_directory(small_disk / "out.bin") as temporary:
        np.save(temporary / "a.npy", np.zeros(4 << 20, np.uint8))
    assert not list(small_disk.iterdir())


def test_temporary_file_of_a_killed_run_is_cleared_but_not_one_in_use(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    remains, other = tmp_path / ".out.json.ab_cd123.json", tmp_path / ".out.json.kept.json"
    for path in (remains, other):
        path.write_text("half")
        os.utime(path, (0, 0))
    with atomic_file(out) as filling:
        filling.write_text("first")
        os.utime(filling, (0, 0))
        with atomic_file(out) as temporary:
            temporary.write_text("second")
            assert filling.exists() and not remains.exists()
    assert out.read_text() == "first" and sorted(tmp_path.iterdir()) == [other, out]


@pytest.mark.parametrize("there", [False, True])
def test_directory_that_a_run_moved_aside_and_was_killed_comes_back(there: bool, tmp_path: Path) -> None:
    out, aside = tmp_path / "out.bin", tmp_path / ".out.bin.ab_cd123.old"
    aside.mkdir()
    fill(aside, "last good one")
    if there:
        out.mkdir()
        fill(out, "newer")
    with contextlib.suppress(ValueError), atomic_directory(out) as temporary:
        assert content(out) == ("newer" if there else "last good one") and not aside.exists()
        fill(temporary, "half")
        raise ValueError
    assert list(tmp_path.iterdir()) == [out] and content(out) == ("newer" if there else "last good one")
