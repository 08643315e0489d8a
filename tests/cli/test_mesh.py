"""`pigan mesh` on a small model with a surface: files, what is said, and what cannot be done in one line."""

import functools
from collections.abc import Callable
from pathlib import Path

import pytest
import trimesh

Said = tuple[int, str, str]


@pytest.fixture
def mesh(on_a_model: Callable[..., Said]) -> Callable[..., Said]:
    """Runs `pigan mesh` with a coarse grid."""
    return functools.partial(on_a_model, "mesh", "--resolution", "24")


def test_one_seed_is_one_file_and_a_line_about_it(mesh: Callable[..., Said], tmp_path: Path) -> None:
    code, out, err = mesh("--out", "car.ply", "--seeds", "3", "--faces", "300")
    assert code == 0 and "wrote car.ply" in out and "seed 3: 24/24 layer" in err
    read = trimesh.load(tmp_path / "car.ply", process=False)
    line = next(line for line in out.splitlines() if line.startswith("seed 3: "))
    assert f"{len(read.vertices):,} vertices, {len(read.faces):,} faces; watertight, volume" in line
    low, high = (", ".join(f"{value:.3f}" for value in corner) for corner in read.bounds)
    assert f"bounds ({low}) to ({high})" in line and "level " in line and len(read.faces) <= 300


def test_seeds_are_numbered_files_and_the_same_alone_or_together(mesh: Callable[..., Said], tmp_path: Path) -> None:
    assert mesh("--out", "many/car.glb", "--seeds", "3,4")[0] == 0
    assert sorted(path.name for path in (tmp_path / "many").iterdir()) == ["car_3.glb", "car_4.glb"]
    assert mesh("--out", "four.glb", "--seeds", "4")[0] == 0
    three, four = ((tmp_path / "many" / f"car_{seed}.glb").read_bytes() for seed in (3, 4))
    assert four == (tmp_path / "four.glb").read_bytes() != three


def test_options_change_the_mesh(mesh: Callable[..., Said], tmp_path: Path) -> None:
    said = {}
    for name, options in {
        "usual": (),
        "mean": ("--truncation", "0"),
        "small": ("--side", "0.2"),
        "open": ("--side", "0.2", "--open"),
        "bare": ("--colours", "none"),
        "view": ("--colours", "view", "--yaw", "0.3", "--pitch", "1.2"),
    }.items():
        code, said[name], _ = mesh("--out", f"{name}.ply", *options)
        assert code == 0
    files = [path.read_bytes() for path in tmp_path.iterdir()]
    assert len(set(files)) == len(files) == 6
    assert "cut by the cube of side 0.2: a larger --side shows more" in said["small"]
    assert "not watertight" in said["open"] and "not watertight" not in said["small"]


def test_what_cannot_be_done_is_one_line_and_leaves_nothing(mesh: Callable[..., Said], tmp_path: Path) -> None:
    for options, words in (
        (("--out", "car.xyz"), "name a file that ends in .glb, .ply, .obj, .stl"),
        (("--out", "car.glb", "--level", "high"), "--level high: give a number, or auto"),
        (("--out", "car.glb", "--level", "1e9"), "is between 0 and 1; for a density add --surface density"),
        (
            ("--out", "car.glb", "--level", "1e9", "--surface", "density"),
            "no surface at level 1e+09: densities in the cube",
        ),
        (("--out", "car.glb", "--side", "-1"), "--side -1: give a length above 0"),
        (("--out", "car.glb", "--yaw", "1"), "add --colours view"),
    ):
        code, out, err = mesh(*options)
        said = err.strip().splitlines()[-1]
        assert (
            code == (1 if words.startswith("no surface") else 2)
            and not out
            and said.startswith("pigan: ")
            and words in said
        )
    assert not list(tmp_path.iterdir())
