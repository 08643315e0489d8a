"""`pigan invert` on a small model: what is written, gone on with and used, and what cannot be done in one line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

Said = tuple[int, str, str]


@pytest.fixture
def pigan(on_a_model: Callable[..., Said], tmp_path: Path) -> Callable[..., Said]:
    """Runs a command in a folder with two photos: exit code, stdout, stderr."""
    for name, colour in (("red", "red"), ("blue", "navy")):
        Image.new("RGB", (40, 30), colour).save(f"{name}.png")
    (tmp_path / "baseline").write_bytes(b"weights")
    (tmp_path / "text.png").write_text("no image", encoding="utf-8")
    return on_a_model


def test_photos_become_folders_that_other_commands_take(pigan: Callable[..., Said]) -> None:
    quick = ("--steps", "10", "--starts", "2", "--preview-steps", "4", "--perceptual", "0.1", "--find-distance")
    code, out, err = pigan("invert", "red.png", "blue.png", "--out", "found", *quick)
    assert code == 0 and "wrote found/red" in out and "blue.png (2/2): 10/10 step" in err
    assert Path("found/preview.png").is_file() and not Path("found/.work").exists()
    result = json.loads(Path("found/blue/result.json").read_text(encoding="utf-8"))
    assert f"blue.png: {result['psnr_db']:.1f} dB" in out and result["losses"]["features"] > 0
    code, out, _ = pigan("invert", "red.png", "blue.png", "--out", "found", *quick)
    assert code == 0 and out.count("was there already") == 2 and "wrote" not in out
    shown = pigan("render", "--code", "found/red", "--code", "found/blue/code.safetensors", "--layout", "single",
                  "--what", "colour", "--out", "pictures")  # fmt: skip
    assert shown[0] == 0, shown[2]
    assert {"red_colour.png", "blue_colour.png"} <= {path.name for path in Path("pictures").iterdir()}


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("red.png", "--yaw", "3"), "--yaw and --pitch: give both, or none to have the pose found"),
        (("red.png", "blue.png", "--mask", "red.png"), "--mask: belongs to one photo"),
        (("red.png", "--held-out", "blue.png"), "--held-out: goes with one photo, --held-out-yaw and --held-out-pitch"),
        (("red.png", "--distance", "0"), "--distance 0: give a number above 0"),
        (("red.png", "text.png"), "text.png: cannot be read as an image"),
        (("missing.png",), "missing.png: cannot be read as an image"),
        (("red.png", "red.png"), "both would become"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_writes_nothing(
    options: tuple[str, ...], line: str, pigan: Callable[..., Said]
) -> None:
    code, _, err = pigan("invert", *options, "--out", "found")
    assert code == (2 if line.startswith("--") else 1) and line in err and err.count("\n") == 1
    assert not Path("found").exists()


def test_a_code_of_something_else_is_refused(pigan: Callable[..., Said]) -> None:
    code, _, err = pigan("render", "--code", "red.png", "--out", "pictures")
    assert code == 1 and "red.png" in err and err.count("\n") == 1 and not Path("pictures").exists()
