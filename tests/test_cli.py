"""The command line: help, exit codes, and errors of one line."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args
from unittest.mock import ANY

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from ruamel.yaml import YAML

from pigan import __version__, cli, config, dataset_sections, presets
from pigan.config import Params

Said = tuple[int, str, str]
COMMANDS = typer.main.get_command(cli.app).commands
BESIDE = (
    *("params", "doctor", "datasets", "cameras", "data-card", "export-data", "weights", "status"),
    # with a trained model
    *("import-checkpoint", "render", "video", "mesh", "invert", "view", "models", "export"),
)
STAGES = ("download", "crop", "real-stats", "init", "train", "generate", "evaluate", "bench", "report")
MODULE = [sys.executable, "-m", "pigan"]


@pytest.fixture
def pigan(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., Said]:
    """Runs `pigan` in this process and an empty folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    # set and deleted, so that what --debug sets is undone after the test
    monkeypatch.setenv("PIGAN_DEBUG", "")
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["pigan", *arguments])
        with pytest.raises(SystemExit) as left:
            cli.main()
        return (int(left.value.code or 0), *capsys.readouterr())

    return run


def test_help_names_every_command_and_where_to_start(pigan: Any) -> None:
    code, out, _ = pigan("--help")
    assert code == 0
    assert all(command in out for command in (*BESIDE, *STAGES))
    assert "pigan params demo > params.yaml" in out and "--debug" in out


@pytest.mark.parametrize(
    ("chosen", "spins"), [({}, "2000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, None)]
)
def test_threads_that_wait_spin_for_a_moment_unless_told_otherwise(
    pigan: Any, monkeypatch: pytest.MonkeyPatch, chosen: dict[str, str], spins: str | None
) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        # set first, so that what the command sets is undone after the test
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    assert pigan("--version")[0] == 0
    assert os.environ["OMP_WAIT_POLICY"] == chosen.get("OMP_WAIT_POLICY", "passive")
    assert os.environ.get("GOMP_SPINCOUNT") == spins


def test_there_is_one_command_a_stage() -> None:
    assert set(COMMANDS) == {*BESIDE, *STAGES}


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_help_of_every_command_explains_every_option(pigan: Any, command: str) -> None:
    code, out, err = pigan(command, "--help")
    assert code == 0 and not err
    for option in COMMANDS[command].params:
        assert option.help or option.name == "help"
        assert option.opts[0] in out
    # the sentence below "Usage"
    assert COMMANDS[command].help.splitlines()[0].split(".")[0][:40] in " ".join(out.split())


def test_no_command_shows_the_help(pigan: Any) -> None:
    code, out, err = pigan()
    assert "pigan [OPTIONS] COMMAND" in out + err and code in (0, 2)


def test_version(pigan: Any) -> None:
    assert pigan("--version") == (0, f"pigan {__version__}\n", "")


@pytest.mark.parametrize("name", ["demo", "carla"])
def test_params_prints_the_preset(pigan: Any, name: str) -> None:
    assert pigan("params", name) == (0, presets.text(name), "")


def test_params_is_the_demo_by_default_and_prints_the_schema(pigan: Any) -> None:
    assert pigan("params")[1] == presets.text("demo")
    assert pigan("params", "--schema") == (0, config.schema_text(), "")


def test_params_are_checked(pigan: Any, tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(presets.text("cats"))
    assert pigan("params", "--check", "good.yaml") == (0, "good.yaml: valid\n", "")
    (tmp_path / "bad.yaml").write_text(presets.text("cats").replace("z_dim:", "zdim:"))
    code, out, err = pigan("params", "--check", "bad.yaml")
    assert (code, out) == (2, "")
    assert err == "pigan: bad.yaml: model.zdim: unknown key; did you mean 'z_dim'? (and 1 more)\n"


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("download", "--out", "raw"), 2, "pigan: params.yaml: no such file; make one with `pigan params demo > "),
        (("download", "--out", "raw", "--params", "x.yaml"), 2, "pigan: x.yaml: no such file"),
        (("params", "deom"), 2, "pigan: no preset 'deom'; did you mean 'demo'?"),
    ],
)
def test_errors_are_one_line(pigan: Any, arguments: tuple[str, ...], code: int, told: str) -> None:
    left, out, err = pigan(*arguments)
    assert (left, out) == (code, "")
    assert err.startswith(told) and len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("trian",), "No such command 'trian'"),
        (("download",), "Missing option '--out'"),
        (("download", "--out", "raw", "--nonsense"), "No such option"),
        (("init", "--arm", "baseline", "--seed", "-1", "--out", "x"), "--seed"),
        (("generate", "--device", "tpu"), "--device"),
        (("render", "--model", "cars-32", "--yaw", "nan", "--out", "x"), "'--yaw': nan is no finite number"),
        (("mesh", "--model", "cars-32", "--side", "inf", "--out", "x.glb"), "'--side': inf is no finite number"),
        (("video", "--model", "cars-32", "--out", "."), "is a folder; name a file"),
        (("download", "--out", __file__), "is a file; name a folder"),
    ],
)
def test_wrong_usage_leaves_with_2(pigan: Any, arguments: tuple[str, ...], told: str) -> None:
    code, _, err = pigan(*arguments)
    assert code == 2 and told in err and "Traceback" not in err


# a valid call of every stage, in a folder where nothing was run before
NOTHING_THERE = {
    "crop": ("--raw", "no/raw", "--out", "out"),
    "real-stats": ("--data", "no/data", "--out", "out.npz"),
    "train": (
        *("--arm", "baseline", "--seed", "0", "--resolution", "8"),
        *("--data", "no/data", "--init", "no/init", "--out", "out"),
    ),
    "generate": ("--arm", "baseline", "--seed", "0", "--model", "no/model", "--data", "no/data", "--out", "out"),
    "evaluate": (
        *("--data", "no/data", "--stats", "no/stats", "--generated", "no/generated"),
        *("--pictures", "out", "--out", "out.json"),
    ),
    "report": ("--data", "no/data", "--runs", "no/runs", "--out", "out"),
}


@pytest.fixture
def stage(pigan: Any, tiny_params: config.Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`pigan` where there is a params.yaml and nothing else; the process stays as it is."""
    YAML().dump(tiny_params.model_dump(), tmp_path / "params.yaml")
    for module in ("pigan.runtime", "pigan.stages.train", "pigan.stages.generate"):
        monkeypatch.setattr(f"{module}.prepare_process", lambda threads: None)
    return pigan


@pytest.mark.parametrize("command", sorted(NOTHING_THERE))
def test_missing_input_is_one_line_that_names_it(stage: Any, command: str, tmp_path: Path) -> None:
    code, out, err = stage(command, *NOTHING_THERE[command])
    assert (code, out) == (1, "")
    assert len(err.splitlines()) == 1 and err.startswith("pigan: no/"), err
    assert not any(path.name.startswith("out") for path in tmp_path.iterdir())


@pytest.mark.parametrize("command", ["init", "train", "generate"])
def test_unknown_arm_is_an_error_of_the_params(stage: Any, command: str) -> None:
    options = NOTHING_THERE.get(command, ("--arm", "baseline", "--seed", "0", "--out", "out"))
    code, _, err = stage(command, *(option.replace("baseline", "basline") for option in options))
    assert (code, err) == (2, "pigan: arms: no arm 'basline'; did you mean 'baseline'?\n")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("command", ["real-stats", "train", "generate", "evaluate"])
def test_gpu_that_is_not_there_is_one_line(stage: Any, command: str) -> None:
    code, out, err = stage(command, *NOTHING_THERE[command], "--device", "cuda")
    assert (code, out) == (1, "")
    assert err.startswith("pigan: --device cuda: PyTorch sees no CUDA GPU here; use --device cpu or auto")
    assert len(err.splitlines()) == 1


def test_datasets_are_described(pigan: Any) -> None:
    code, out, _ = pigan("datasets")
    assert code == 0 and {line.split()[0] for line in out.splitlines()} == set(get_args(dataset_sections.Kind))
    code, out, _ = pigan("datasets", "celeba")
    assert code == 0 and "202,599" in out and "00d2c5bc6d35e252742224ab0c1e8fcb" in out and "terms" in out
    code, out, err = pigan("datasets", "celebA")
    assert (code, out) == (2, "") and len(err.splitlines()) == 1 and "celeba" in err


def test_own_photos_from_the_folder_to_card_and_archive(pigan: Any, tiny_params: Params, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    rng = np.random.default_rng(0)
    for number in range(6):
        Image.fromarray(rng.integers(0, 255, (40, 50, 3), dtype=np.uint8)).save(tmp_path / f"photos/{number}.jpg")
    own = {"kind": "folder", "source": "elsewhere", "cars": None}
    values = config.merge(tiny_params.model_dump(), {"dataset": own})
    YAML().dump(values, tmp_path / "params.yaml")
    assert pigan("download", "--from", "photos", "--out", "raw") == (0, "wrote raw\n", ANY)
    assert pigan("crop", "--raw", "raw", "--out", "prepared", "--workers", "1")[1].startswith("kept 6 of 6 images")
    code, out, _ = pigan("cameras", "photos", "--out", "guide")
    assert code == 0 and "assumed: " in out and (tmp_path / "guide" / "cameras.png").is_file()
    assert pigan("data-card", "--data", "prepared", "--out", "card.html")[0] == 0
    assert "6 kept of 6 found" in (tmp_path / "card.html").read_text()
    assert pigan("export-data", "--data", "prepared", "--resolution", "16", "--out", "data.zip")[0] == 0
    with zipfile.ZipFile(tmp_path / "data.zip") as archive:
        assert len(archive.namelist()) == 7


def test_unexpected_errors_are_one_line_too(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("division\nby zero")

    monkeypatch.setattr("pigan.data.crop.crop", broken)
    code, _, err = stage("crop", *NOTHING_THERE["crop"])
    assert code == 1
    assert err == "pigan: unexpected ZeroDivisionError: division by zero (`pigan --debug ...` shows where)\n"


def test_debug_shows_where() -> None:
    done = subprocess.run([*MODULE, "--debug", "params", "deom"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Traceback" in done.stderr and "pigan.errors.UsageError: no preset 'deom'" in done.stderr


def test_reader_that_leaves_early_is_no_error() -> None:
    reading, writing = os.pipe()
    # nobody reads: what `| head -1` comes to once it has its line
    os.close(reading)
    done = subprocess.run([*MODULE, "params"], stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert done.stderr == ""
    first = subprocess.run(
        ["bash", "-c", '"$0" -m pigan params | head -1', sys.executable], capture_output=True, text=True, check=True
    )
    assert first.stdout == presets.text("demo").splitlines()[0] + "\n" and first.stderr == ""
