"""Node-local copies: made once, verified, and never the reason that a job fails."""

import errno
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pigan.data import scratch
from pigan.data.crop import crop
from pigan.data.scratch import near
from pigan.data.sources.download import download
from pigan.data.store import Prepared, TrainingImages
from pigan.errors import PiganError
from pigan.files import sha256_file
from pigan.stages.train import real_images

IMAGES = "images_16.npy"
USE = (
    "import sys; from pathlib import Path; from pigan.data.scratch import near; from pigan.data.store import Prepared\n"
    "print(near(Prepared(Path(sys.argv[1])), 16).path)\n"
)
Usage = namedtuple("Usage", "total used free")


@pytest.fixture(scope="module")
def cropped(make_params: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cropped")
    params = make_params(cars={"views": 8, "size": 16, "views_per_car": 1}, held_out=0.25)
    download(params, folder / "raw", workers=1)
    crop(params, folder / "raw", folder / "prepared", workers=1)
    return folder / "prepared"


@pytest.fixture
def prepared(cropped: Path, tmp_path: Path) -> Prepared:
    shutil.copytree(cropped, tmp_path / "prepared")
    return Prepared(tmp_path / "prepared")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The scratch disk of this node."""
    monkeypatch.setenv("PIGAN_SCRATCH", str(tmp_path / "scratch"))
    return tmp_path / "scratch"


def batches(prepared: Prepared) -> torch.Tensor:
    return TrainingImages(prepared, 16, torch.device("cpu")).images(torch.arange(6))


def copies(root: Path) -> list[Path]:
    return list((root / "pigan").rglob(IMAGES))


def test_without_the_variable_nothing_is_copied(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIGAN_SCRATCH", raising=False)
    assert near(prepared, 16) is prepared
    monkeypatch.setenv("PIGAN_SCRATCH", "scratch")
    with pytest.raises(PiganError, match=r"^PIGAN_SCRATCH: write an absolute path, .* not 'scratch'$"):
        near(prepared, 16)


def test_copy_gives_the_same_bits_and_is_used_again(
    prepared: Prepared,
    root: Path,
    make_params: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    copied = near(prepared, 16)
    assert copied.path.is_relative_to(root) and torch.equal(batches(copied), batches(prepared))
    monkeypatch.delenv("PIGAN_SCRATCH")
    there = real_images(make_params(flip=True), prepared, 3, 16, torch.device("cpu"))(5, 4)
    monkeypatch.setenv("PIGAN_SCRATCH", str(root))
    here = real_images(make_params(flip=True), prepared, 3, 16, torch.device("cpu"))(5, 4)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(here, there, strict=True))
    assert copied.cameras is not None and prepared.cameras is not None
    assert np.array_equal(copied.cameras.cam2world, prepared.cameras.cam2world)
    (copy,) = copies(root)
    before = copy.stat()
    capsys.readouterr()
    assert near(prepared, 16).path == copied.path
    assert copy.stat().st_ino == before.st_ino and capsys.readouterr() == ("", "")
    assert {path.name for path in copied.path.iterdir() if path.name[0] != "."} == {
        "cameras.npz",
        "dataset.json",
        IMAGES,
    }


def test_changed_data_is_copied_anew(prepared: Prepared, root: Path) -> None:
    near(prepared, 16)
    images = np.load(prepared.path / IMAGES)
    np.save(prepared.path / IMAGES, 255 - images)
    prepared.info["sha256"][IMAGES] = sha256_file(prepared.path / IMAGES)
    (prepared.path / "dataset.json").write_text(json.dumps(prepared.info))
    changed = Prepared(prepared.path)
    assert np.array_equal(near(changed, 16).images(16), 255 - images) and len(copies(root)) == 2


@pytest.mark.parametrize("damage", ["flip", "cut"])
def test_damaged_copy_is_made_again(
    damage: str, prepared: Prepared, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    near(prepared, 16)
    (copy,) = copies(root)
    data = bytearray(copy.read_bytes())
    data[-7] ^= 1
    copy.write_bytes(data if damage == "flip" else data[:-1])
    capsys.readouterr()
    assert torch.equal(batches(near(prepared, 16)), batches(prepared))
    assert capsys.readouterr().err.count("damaged; copying it again") == 1


def test_original_that_is_not_what_it_says_is_refused(prepared: Prepared, root: Path) -> None:
    images = np.load(prepared.path / IMAGES)
    images[0, 0, 0, 0] ^= 1
    np.save(prepared.path / IMAGES, images)
    with pytest.raises(PiganError, match=rf"{IMAGES}: its SHA-256 is not the one of dataset.json; run `pigan crop`"):
        near(prepared, 16)
    assert not copies(root)


def test_deleted_copies_come_back_and_killed_runs_leave_nothing(prepared: Prepared, root: Path) -> None:
    folder = near(prepared, 16).path
    shutil.rmtree(root)
    folder.mkdir(parents=True)
    left = folder / f".{IMAGES}.abcd1234.npy"
    left.write_bytes(b"half")
    assert torch.equal(batches(near(prepared, 16)), batches(prepared)) and not left.exists()


def said_in_one_line(capsys: pytest.CaptureFixture[str], reason: str, prepared: Prepared) -> bool:
    said = capsys.readouterr().err
    lines = [line for line in said.splitlines() if line.startswith("scratch: ")]
    return len(lines) == 1 and reason in lines[0] and lines[0].endswith(f"reading {prepared.path / IMAGES} where it is")


def test_no_room_is_said_before_anything_is_copied(
    prepared: Prepared, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10, 10, 1000))
    assert near(prepared, 16) is prepared and said_in_one_line(capsys, "no room for 0.00 GB", prepared)
    assert not copies(root)


def test_disk_that_fills_up_meanwhile(
    prepared: Prepared, small_disk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIGAN_SCRATCH", str(small_disk))
    monkeypatch.setattr(scratch, "SPARE_BYTES", -(1 << 40))
    (small_disk / "of others").write_bytes(bytes((1 << 20) - 3 * 4096))
    assert near(prepared, 16) is prepared and said_in_one_line(capsys, "the disk is full", prepared)
    left = {path.name for path in small_disk.rglob("*") if path.is_file()}
    assert IMAGES not in left and not any(name.endswith((".npy", ".npz")) and name[0] == "." for name in left)


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EIO, errno.ESTALE])
def test_scratch_that_cannot_be_written(
    number: int,
    prepared: Prepared,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    assert near(prepared, 16) is prepared and said_in_one_line(capsys, "", prepared)


def test_processes_at_once_copy_once(prepared: Prepared, root: Path) -> None:
    # large enough that the second comes while the first is at it
    np.save(prepared.path / IMAGES, np.zeros((60_000, 16, 16, 3), np.uint8))
    prepared.info["sha256"][IMAGES] = sha256_file(prepared.path / IMAGES)
    (prepared.path / "dataset.json").write_text(json.dumps(prepared.info))
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", USE, str(prepared.path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [run.communicate(timeout=60) for run in runs]
    assert all(run.returncode == 0 for run in runs), said
    (copy,) = copies(root)
    assert {out for out, _ in said} == {f"{copy.parent}\n"}
    assert sum(f"{IMAGES} to " in err for _, err in said) == 1, said
    assert not any("damaged" in err for _, err in said)


def test_holder_that_hangs_delays_but_does_not_stop(
    prepared: Prepared, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = near(prepared, 16).path
    (folder / IMAGES).unlink()
    monkeypatch.setattr("pigan.data.scratch.PATIENCE_SECONDS", 0.3)
    began = time.monotonic()
    with (folder / f".{IMAGES}.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        capsys.readouterr()
        assert near(prepared, 16) is prepared
    assert time.monotonic() - began < 5 and "which has done nothing for 0 s" in capsys.readouterr().err
