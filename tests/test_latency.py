"""Files that appear late are waited for when that is asked for, and never for ever."""

import errno
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from pigan.data.crop import crop
from pigan.data.sources.download import download
from pigan.data.store import Prepared
from pigan.errors import PiganError
from pigan.latency import appears
from pigan.stages.train import sha256_of_checkpoint


def test_missing_is_told_at_once_unless_waiting_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIGAN_LATENCY", raising=False)
    began = time.monotonic()
    assert not appears(tmp_path / "late") and time.monotonic() - began < 0.2
    monkeypatch.setenv("PIGAN_LATENCY", "0.5")
    assert not appears(tmp_path / "late") and 0.5 <= time.monotonic() - began < 5


@pytest.mark.parametrize("value", ["soon", "-1", "nan", "inf"])
def test_what_is_no_time_is_one_line(value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIGAN_LATENCY", value)
    with pytest.raises(PiganError, match=rf"^PIGAN_LATENCY: write a number of seconds, .* not '{value}'$"):
        appears(tmp_path)


def test_checkpoint_that_appears_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIGAN_LATENCY", "30")
    stage = tmp_path / "r8"

    def write() -> None:
        stage.mkdir()
        (stage / "partial").write_bytes(b"abc")
        os.replace(stage / "partial", stage / "checkpoint.safetensors")

    late = threading.Timer(0.5, write)
    late.start()
    assert sha256_of_checkpoint(stage) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    late.join()


def test_arrays_of_prepared_data_that_appear_late(
    tiny_params: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    download(tiny_params, tmp_path / "raw", workers=1)
    crop(tiny_params, tmp_path / "raw", tmp_path / "prepared", workers=1)
    monkeypatch.setenv("PIGAN_LATENCY", "30")
    os.replace(tmp_path / "prepared", tmp_path / "elsewhere")
    (tmp_path / "elsewhere/images_8.npy").rename(tmp_path / "images_8.npy")
    late = [
        threading.Timer(0.3, os.replace, (tmp_path / "elsewhere", tmp_path / "prepared")),
        threading.Timer(1.0, os.replace, (tmp_path / "images_8.npy", tmp_path / "prepared/images_8.npy")),
    ]
    for timer in late:
        timer.start()
    assert Prepared(tmp_path / "prepared").images(8).shape[1:] == (8, 8, 3)
    for timer in late:
        timer.join()


def test_stale_names_are_asked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIGAN_LATENCY", "30")
    stat, answers = Path.stat, iter([errno.ESTALE, errno.ESTALE])

    def stale(path: Path, **options: Any) -> os.stat_result:
        number = next(answers, None) if path.name == "replaced" else None
        if number is not None:
            raise OSError(number, os.strerror(number))
        return stat(path, **options)

    (tmp_path / "replaced").touch()
    monkeypatch.setattr(Path, "stat", stale)
    assert appears(tmp_path / "replaced") and next(answers, None) is None
