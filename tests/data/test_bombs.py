"""Files that would become far more than they are, or that are programs, are refused by name and before they do harm."""

import io
import warnings
import zipfile
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
from PIL import Image

from pigan.data.meshes.guard import InsideFolder, check_picture
from pigan.data.meshes.model import RejectedError
from pigan.data.posed import checks, depth
from pigan.data.posed.checks import load_array, load_json
from pigan.data.posed.depth import read_depth
from pigan.data.posed.frames import Intrinsics
from pigan.data.square import read_image
from pigan.errors import PiganError

CAMERA = Intrinsics(1.0, 1.0, 0.5, 0.5)
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"


def test_picture_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    Image.new("1", (20_000, 20_000)).save(tmp_path / "bomb.png")
    assert (tmp_path / "bomb.png").stat().st_size < 1 << 20
    with pytest.raises((Image.DecompressionBombError, Image.DecompressionBombWarning)):
        read_image(tmp_path / "bomb.png", (0, 0, 0), True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match="decompression bomb"):
            read_depth(tmp_path / "bomb.png", 1.0, "z", CAMERA, 1.0)
        with pytest.raises(RejectedError):
            check_picture((tmp_path / "bomb.png").read_bytes(), "bomb.png")


def test_array_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "a.npz", depth=np.zeros((1000, 1000), np.float32))
    assert load_array(tmp_path / "a.npz").shape == (1000, 1000)
    monkeypatch.setattr(checks, "LARGEST_BYTES", 1 << 20)
    with pytest.raises(ValueError, match=r"gigantic: 4,000,1\d\d bytes unpacked"):
        load_array(tmp_path / "a.npz")


def test_array_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", depth=np.zeros(100_000, np.float32))
    data = bytearray((tmp_path / "a.npz").read_bytes())
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        size = archive.infolist()[0].file_size
    # in the central directory
    at = data.rindex(size.to_bytes(4, "little"))
    data[at : at + 4] = (200).to_bytes(4, "little")
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(ValueError, match=r"a\.npz cannot be read"):
        load_array(tmp_path / "a.npz")


def test_array_of_objects_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(ValueError, match="cannot be read"):
        load_array(tmp_path / "a.npy")


def test_exr_of_too_many_pixels_is_refused_by_its_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.exr"
    OpenEXR.File({}, {"Z": np.ones((20, 30), np.float32)}).write(str(path))
    assert read_depth(path, None, "z", CAMERA, 1.0).shape == (20, 30)
    monkeypatch.setattr(depth, "LARGEST_MAP", 599)
    with pytest.raises(ValueError, match="gigantic: 30 x 20, more than 599 pixels"):
        read_depth(path, None, "z", CAMERA, 1.0)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.dat"])
def test_postscript_under_any_name_starts_no_program(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def started(*_: object, **__: object) -> None:
        pytest.fail("Ghostscript was to be started")

    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", started)
    (tmp_path / name).write_bytes(POSTSCRIPT)
    with pytest.raises(OSError, match="cannot identify"):
        read_image(tmp_path / name, (0, 0, 0), True)
    files = InsideFolder(tmp_path / "model.obj", tmp_path, 1 << 20)
    with pytest.raises(FileNotFoundError):
        files.get(name)
    assert "PostScript" in str(files.fault)
    with pytest.raises(RejectedError):
        check_picture(POSTSCRIPT, name)
    if name == "a.png":
        with pytest.raises(ValueError, match="cannot identify"):
            read_depth(tmp_path / name, 1.0, "z", CAMERA, 1.0)


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 100_000, "9" * 100_000])
def test_camera_file_that_is_nested_without_end_is_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(PiganError, match="cannot be read as JSON"):
        load_json(tmp_path / "a.json")


def test_json_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("pigan.data.posed.checks.LARGEST_JSON_BYTES", 1 << 20)
    with (tmp_path / "a.json").open("wb") as file:
        file.truncate((1 << 20) + 1)
    with pytest.raises(PiganError, match=r"a\.json: cannot be read as JSON \(larger than 1 MiB\)"):
        load_json(tmp_path / "a.json")


def test_gltf_picture_that_is_a_picture_is_taken() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "PNG")
    check_picture(buffer.getvalue(), "a.png")
