"""The whole of a box at toy size, as it is typed, and what it leaves."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.box.box import Box
from benchmarks.box.experiment import params_of_box, reached_params
from benchmarks.box.gather import gather
from benchmarks.box.state import pack
from benchmarks.gpu_run import main
from pigan.errors import PiganError
from pigan.synthesis.trained import load_model

ROOT = Path(__file__).parents[2]


def gpu_run(*options):
    command = [sys.executable, "-m", "benchmarks.gpu_run", *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment, cwd=ROOT, check=False)


def test_a_box_goes_on_where_one_before_stopped_and_leaves_few_small_files(stopped, tmp_path):
    before = [{"minutes": 9.0, "device": "another GPU", "evaluation_seconds": 3.0}]
    pack(stopped, tmp_path / "first", 1 << 24, 3, before)
    (tmp_path / "box").mkdir()
    (tmp_path / "box/data").symlink_to(stopped.folder / "data")
    out = tmp_path / "second"
    options = ("--from", str(tmp_path / "first"), "--out", str(out), "--work", str(tmp_path / "box"))
    done = gpu_run(*options, "--minutes", "8", "--device", "cpu", "--name", "a toy")
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((out / "result.json").read_text())
    assert result["stage"] == "r16, finished" and result["failed"] == [] and result["state"] == "exact"
    assert result["boxes"][0] == before[0] and result["boxes"][1]["steps"] == 11
    assert "kernels" not in result, "measured in the first box"
    assert result["fid"] > 0 and len(result["targets"]) == 5
    files = [path for path in out.rglob("*") if path.is_file()]
    assert len(files) <= 8 and max(path.stat().st_size for path in files) <= 16 << 20
    assert "2 boxes" in (out / "report.html").read_text()
    with zipfile.ZipFile(out / "release.zip") as release:
        release.extractall(tmp_path / "release")
    assert load_model(tmp_path / "release/model.safetensors").params.generate.resolution == 16
    card = (tmp_path / "release/README.md").read_text()
    assert "a toy" in card
    with zipfile.ZipFile(out / "files.zip") as archive:
        names = set(archive.namelist())
        assert len(archive.read("r16/log.jsonl").splitlines()) == 5
    assert {
        "metrics.json",
        "summary.json",
        "r16/log.jsonl",
        "generated/turntable.mp4",
        "generated/samples.png",
        "generated/mesh.png",
    } <= names


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--from", "nowhere"), "holds no state/part0"),
        (("--from", "nowhere", "--preset", "cars"), "leave --params, --preset, --meshes and --arm out"),
        (("--preset", "cars", "--params", "a.yaml"), "name one of them"),
        (("--preset", "carz"), "no preset"),
        (("--preset", "cars-64"), "holds an experiment with other params"),
    ],
)
def test_wrong_options_are_told_in_one_line(stopped, tmp_path, monkeypatch, capsys, options, told):
    type(stopped)(tmp_path / "work", stopped.params, "baseline", 0, "cpu").write_params()
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(
        sys, "argv", ["gpu_run", *options, "--out", str(tmp_path / "out"), "--work", str(tmp_path / "work")]
    )
    try:
        code = main()
    except SystemExit as left:
        code = left.code
    assert code in (1, 2)
    said = capsys.readouterr().err.splitlines()
    assert told in said[-1]


def test_an_unfinished_curriculum_ends_where_training_stands(tiny_params):
    params = reached_params(tiny_params, "baseline", 3, 8, 4, "a label")
    stages = params.curriculum.stages
    assert (stages["r8"].steps, stages["r16"].steps) == (4, 0)
    assert params.generate.checkpoint == "r16" and params.generate.resolution == 8
    assert (list(params.arms), params.seeds, params.report.subtitle) == (["baseline"], [3], "a label")
    other = reached_params(tiny_params, "no-growing", 0, 16, 2, "a label")
    assert other.experiment == "tiny-no-growing" and other.curriculum.stages["r8"].steps == 0


@pytest.fixture
def box(stopped, tmp_path):
    """A box whose training stopped after a step at 16 px."""
    place = type(stopped)(tmp_path / "work", stopped.params, "baseline", 0, "cpu")
    shutil.copytree(stopped.folder, place.folder)
    place.write_params()
    asked = argparse.Namespace(
        before=None, params=None, preset=None, arm=None, seed=0, device="cpu", minutes=1.0, evaluate=True
    )
    asked.out, asked.work, asked.name, asked.beside = tmp_path / "out", place.folder, "a toy", None
    asked.file_mb, asked.state_files = 16, 3
    return Box(asked)


def test_what_a_stage_has_reached_is_evaluated_with_its_log_and_the_stage_itself_stays(box, monkeypatch):
    ran = []
    monkeypatch.setattr(Box, "_step", lambda self, name, commands, place: ran.append((commands, place)))
    box._evaluate()
    ((commands, reached),) = ran
    first, last = box.place.params.curriculum.order
    assert reached.params.curriculum.stages["r16"].steps == 1
    assert [command[0] for command in commands][-5:] == ["train", "generate", "evaluate", "report", "export"]
    assert (reached.work(last) / "log.jsonl").read_bytes() == (box.place.work(last) / "log.jsonl").read_bytes()
    assert reached.done(first).is_file() and box.place.reached()[2] is False


def check(path, case, error):
    """What `pigan bench` found of one case."""
    kind = path.split()[1]
    return SimpleNamespace(path=path, precision=kind, case=case, title="a case", error=error, ratio=1.0)


@pytest.mark.parametrize(
    ("rows", "code", "goes_on", "kernel"),
    [
        ([check("folded fp32", "field", 1e-6), check("triton fp16", "field", 1e-3)], 0, True, "auto"),
        ([check("folded fp32", "field", 1e-6), check("triton fp16", "field", 0.5)], 0, True, "folded"),
        ([check("folded fp32", "field", 1e-6), check("triton bf16", "field", None)], 0, True, "folded"),
        ([check("folded fp32", "field", 0.5)], 0, False, "folded"),
        # it broke off, before or after all had been measured
        ([], 1, True, "folded"),
        ([check("folded fp32", "field", 1e-6)], 1, True, "folded"),
        ([check("folded fp32", "field", 1e-6), check("folded fp32", "render", 1e-6)], 1, True, "auto"),
    ],
)
def test_a_box_trains_by_another_kernel_where_one_is_wrong(box, monkeypatch, rows, code, goes_on, kernel):
    box.place, asked_for = replace(box.place, folder=box.place.folder / "new"), box.place.params
    box.place.folder.mkdir()
    box.asked.bench = "quick"

    def measured(self, name, commands, until):
        if rows:
            (box.place.folder / "check.json").touch()
        return code == 0

    speed = SimpleNamespace(rows=rows, estimates=[], notes=[], device="a GPU")
    monkeypatch.setattr("benchmarks.box.box.read_speed", lambda path: speed)
    monkeypatch.setattr(Box, "_step", measured)
    assert box._bench() is goes_on
    assert box.place.params.training.kernel == kernel
    assert bool(box.failed) is (kernel != "auto")
    # run there again as it was asked for, it goes on by that one
    box.place.write_params()
    box.asked.work, box.asked.preset = box.place.folder, "as before"
    monkeypatch.setattr("benchmarks.box.box.params_of_box", lambda asked: asked_for)
    assert Box(box.asked).place.params.training.kernel == kernel


def test_a_checkpoint_that_is_just_being_replaced_neither_ends_a_box_nor_takes_it_back(box):
    checkpoint = box.place.reached()[1]
    box._watch()
    packed = (box.out / "state/part0").read_bytes()
    away = checkpoint.rename(checkpoint.with_name("away"))
    box._watch()
    assert box.place.reached()[0].name == "r8" and (box.out / "state/part0").read_bytes() == packed
    checkpoint.write_bytes(b"half")
    box._watch()
    assert (box.out / "state/part0").read_bytes() == packed
    with pytest.raises(PiganError, match="damaged"):
        box._pack()
    away.replace(checkpoint)


def test_a_box_renders_meshes_where_it_is_told_and_keeps_no_snapshots(tmp_path):
    asked = argparse.Namespace(params=None, preset=None, meshes=tmp_path, save_minutes=0.5)
    params = params_of_box(asked)
    assert (params.dataset.kind, params.dataset.source) == ("meshes", str(tmp_path))
    assert params.dataset.cars is None and params.dataset.meshes is not None
    assert params.experiment == "cars-64-meshes" and params.model.hidden == 256
    assert (params.training.snapshot_steps, params.training.checkpoint_minutes) == (0, 0.5)


def test_what_is_too_large_is_left_out_by_name(stopped, tmp_path):
    place = type(stopped)(tmp_path, stopped.params, "baseline", 0, "cpu")
    generated = place.run / "generated"
    generated.mkdir(parents=True)
    (generated / "large.png").write_bytes(os.urandom(60_000))
    (generated / "small.png").write_bytes(os.urandom(2_000))
    place.report.mkdir(parents=True)
    (place.report / "report.html").write_bytes(b"x" * 60_000)
    left = gather(place, tmp_path / "out", 50_000, {"failed": []}, [])
    assert [text.split(" ")[0] for text in left] == ["report.html", "files.zip:"] and "large.png" in left[1]
    with zipfile.ZipFile(tmp_path / "out/files.zip") as archive:
        assert archive.namelist() == ["generated/small.png"]
    assert json.loads((tmp_path / "out/result.json").read_text())["left_out"] == left
    assert not (tmp_path / "out/report.html").exists()
