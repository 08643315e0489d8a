"""The whole chain for real: both engines on a tiny experiment, and broken input through the real stages."""

import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from ruamel.yaml import YAML

from pigan import cli, config
from pipeline_tree import Tree, TreeMaker, copy_pipeline

RUN = "runs/cars/baseline/seed0"
TIMES = ("seconds",)


@pytest.fixture(scope="module")
def one_arm(tiny_params: config.Params) -> dict[str, Any]:
    """The tiny experiment with its baseline only; every stage of every arm is a process of its own."""
    return {**tiny_params.model_dump(), "arms": {"baseline": {}}}


@pytest.fixture(scope="module")
def make_real_tree(one_arm: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Tree]:
    """Call it with a name for a copy of the pipeline that runs the real `pigan`."""
    base = tmp_path_factory.mktemp("real")

    def make(name: str) -> Tree:
        (base / f"{name}-tools").mkdir()
        tools = TreeMaker(base / f"{name}-tools")
        # without the stand-in that the other engine tests use
        (tools.base / "bin/pigan").unlink()
        tree = Tree(base / name, tools.env)
        copy_pipeline(tree.path)
        YAML().dump(one_arm, tree.path / "params.yaml")
        tree.git("init", "-q")
        tree.commit()
        return tree

    return make


def snakemake(tree: Tree) -> str:
    return tree.run(sys.executable, "-m", "snakemake", "--cores", "2", "report")


@pytest.fixture(scope="module")
def finished(make_real_tree: Callable[[str], Tree]) -> dict[str, Tree]:
    """A tree run by each engine, the two side by side: each waits for one process most of the time."""
    trees = {name: make_real_tree(name) for name in ("snakemake", "dvc")}
    with ThreadPoolExecutor(2) as side_by_side:
        runs = (side_by_side.submit(snakemake, trees["snakemake"]), side_by_side.submit(trees["dvc"].dvc, "repro"))
    for run in runs:
        run.result()
    trees["dvc"].commit()
    return trees


@pytest.fixture
def by_snakemake(finished: dict[str, Tree]) -> Tree:
    return finished["snakemake"]


@pytest.fixture
def by_dvc(finished: dict[str, Tree]) -> Tree:
    return finished["dvc"]


def metrics(tree: Tree) -> dict[str, Any]:
    values = json.loads((tree.path / RUN / "metrics.json").read_text())
    assert isinstance(values, dict)
    return {key: value for key, value in values.items() if key not in TIMES}


@pytest.mark.engines
def test_snakemake_makes_the_report_and_then_has_nothing_to_do(by_snakemake: Tree) -> None:
    page = (by_snakemake.path / "reports/tiny/report.html").read_text()
    assert page.startswith("<!") and "baseline" in page
    assert "Nothing to be done" in snakemake(by_snakemake)


@pytest.mark.engines
def test_both_engines_make_the_same_bits(by_snakemake: Tree, by_dvc: Tree) -> None:
    assert (by_dvc.path / "reports/tiny/report.html").stat().st_size > 10_000
    same = [f"{RUN}/{stage}/checkpoint.safetensors" for stage in ("init", "r8", "r16")]
    same += [f"{RUN}/generated/{name}" for name in ("images_16.npy", "depth_16.npy", "samples.png", "turntable.mp4")]
    same += [f"data/prepared/cars/images_{side}.npy" for side in (8, 16)]
    for name in same:
        assert (by_snakemake.path / name).read_bytes() == (by_dvc.path / name).read_bytes(), name
    ours = metrics(by_snakemake)
    assert ours == metrics(by_dvc)
    assert np.isfinite(ours["fid_efficientnet_lite0"]) and ours["protocol"]["fake_images"] == 10


@pytest.mark.engines
def test_dvc_shows_and_repeats_only_what_an_experiment_changes(by_dvc: Tree) -> None:
    assert "fid_efficientnet_lite0" in by_dvc.dvc("metrics", "show")
    before = {
        name: (by_dvc.path / RUN / name).stat().st_mtime_ns for name in ("r16/checkpoint.safetensors", "generated")
    }
    said = by_dvc.dvc("exp", "run", "-S", "evaluate.kid_subsets=3")
    ran = {line.split("'")[1].split("@")[0] for line in said.splitlines() if line.startswith("Running stage")}
    assert ran == {"evaluate", "report"}
    after = {name: (by_dvc.path / RUN / name).stat().st_mtime_ns for name in before}
    assert before == after
    assert metrics(by_dvc)["protocol"]["kid_subsets"] == 3
    diff = by_dvc.dvc("params", "diff")
    assert "evaluate.kid_subsets" in diff and "dataset" not in diff


@pytest.fixture
def pigan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., tuple[int, str]]]:
    """Runs a command in a folder of its own, in this process: exit code and what it said on stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIGAN_WORK", str(tmp_path / "work"))

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["pigan", *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            cli.main()
        return int(left.value.code or 0), capfd.readouterr().err

    yield run
    # stages ask for deterministic algorithms for the whole process
    torch.use_deterministic_algorithms(False)


def photos(folder: Path, count: int) -> None:
    random = np.random.default_rng(0)
    folder.mkdir()
    for number in range(count):
        pixels = random.integers(0, 255, (20, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02d}.png")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


@pytest.fixture
def photo_params(one_arm: dict[str, Any], tmp_path: Path) -> Path:
    """params.yaml for a folder of photos."""
    changes = {"dataset": {"name": "photos", "kind": "folder", "source": str(tmp_path / "mine"), "cars": None}}
    YAML().dump(config.merge(one_arm, changes), tmp_path / "params.yaml")
    return tmp_path / "mine"


def test_missing_source_folder_is_one_line(pigan: Any, photo_params: Path, tmp_path: Path) -> None:
    code, said = pigan("download", "--out", "data/raw/photos")
    assert code == 1 and len(said.splitlines()) == 1
    assert said.startswith(f"pigan: dataset.source: there is no folder {photo_params}")
    assert not (tmp_path / "data").exists()


def test_truncated_image_is_rejected_by_name_and_the_chain_goes_on(pigan: Any, photo_params: Path) -> None:
    photos(photo_params, 16)
    cut(photo_params / "05.png")
    data, stats, run = (
        "data/prepared/photos",
        "data/stats/photos/efficientnet_lite0_16.npz",
        "runs/photos/baseline/seed0",
    )
    who, to = ("--arm", "baseline", "--seed", "0"), ("--device", "cpu")
    train = ("train", *who, *to, "--data", data, "--resolution")
    evaluated = ("--generated", f"{run}/generated", "--pictures", f"{run}/evaluated", "--out", f"{run}/metrics.json")
    for command in (
        ("download", "--out", "data/raw/photos"),
        ("crop", "--raw", "data/raw/photos", "--out", data),
        ("real-stats", *to, "--data", data, "--out", stats),
        ("init", *who, "--out", f"{run}/init"),
        (*train, "8", "--init", f"{run}/init", "--out", f"{run}/r8"),
        (*train, "16", "--init", f"{run}/r8", "--out", f"{run}/r16"),
        ("generate", *who, *to, "--model", f"{run}/r16", "--data", data, "--out", f"{run}/generated"),
        ("evaluate", *to, "--data", data, "--stats", str(Path(stats).parent), *evaluated),
        ("bench", "--quick", "--params", "params.yaml", "--out", "runs/photos/speed.json"),
        ("report", "--data", data, "--runs", "runs/photos", "--out", "reports/tiny"),
    ):
        code, said = pigan(*command)
        assert code == 0, f"{command}: {said}"
    info = json.loads(Path(data, "dataset.json").read_text())
    assert info["count"] == 15 and [reject["file"] for reject in info["rejected"]] == ["05.png"]
    assert "\n" not in info["rejected"][0]["reason"]
    assert "05.png" in Path("reports/tiny/report.html").read_text()


def test_only_bad_images_are_one_line(pigan: Any, photo_params: Path) -> None:
    photos(photo_params, 3)
    for path in photo_params.iterdir():
        cut(path)
    assert pigan("download", "--out", "data/raw/photos")[0] == 0
    code, said = pigan("crop", "--raw", "data/raw/photos", "--out", "data/prepared/photos")
    assert code == 1
    assert "all 3 images were rejected, 00.png" in said.splitlines()[-1]
    assert "Traceback" not in said and not Path("data/prepared/photos").exists()


def test_no_permission_to_write_is_one_line(pigan: Any, photo_params: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos(photo_params, 3)

    def refuse(*_: Any, **__: Any) -> str:
        raise PermissionError(13, "Permission denied")

    # root, as which tests often run, may write anywhere
    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    code, said = pigan("download", "--out", "data/raw/photos")
    assert code == 1
    assert said == ("pigan: data/raw/photos: no permission to write here; choose another folder or change its rights\n")
