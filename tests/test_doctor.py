"""What `pigan doctor` tells of a machine and of what an experiment needs."""

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from ruamel.yaml import YAML

from pigan import cli, config, doctor, machine, presets
from pigan.errors import PiganError
from pigan.files import sha256_file
from pigan.machine import Fact
from pigan.processor import usable_processors
from pigan.released import WEIGHTS
from pigan.report.speed import Estimate
from pigan.synthesis.released import released_folder

CPU = torch.device("cpu")
MACHINE = ["processors", "memory", "instructions", "gpu", "torch", "triton", "compiler", "engines", "disk"]
NEEDS = ["params", "data", "threads", "starts from", "features", "kernel", "training memory"]

CARS = {"path": "cars-32", "sha256": "ab" * 32}
WEIGHTS_OF_CARS = sha256_file(released_folder("cars-32") / WEIGHTS)

Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def write(folder: Path) -> Write:
    """Writes the demo preset with sections changed."""

    def params(**changes: Any) -> Path:
        values = YAML(typ="safe", pure=True).load(presets.text("demo"))
        YAML().dump(config.merge(values, changes), folder / "params.yaml")
        return folder / "params.yaml"

    return params


def told(params: Path | None = None) -> dict[str, Fact]:
    return {fact.name: fact for fact in doctor.examine(params, CPU)}


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    # set, so that what the command sets is undone after the test
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    monkeypatch.setattr(sys, "argv", ["pigan", "doctor", "--device", "cpu", *arguments])
    with pytest.raises(SystemExit) as left:
        cli.main()
    return int(left.value.code or 0)


def test_bare_machine_is_no_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[9:].split("  ")[0].strip() for line in lines] == MACHINE + NEEDS
    assert {line.split()[0] for line in lines} <= {"ok", "advice"}
    assert "pigan params demo > params.yaml" in lines[len(MACHINE)]


def test_valid_params_are_ready(write: Write) -> None:
    facts = told(write())
    assert facts["params"].state == facts["data"].state == "ok"
    assert facts["kernel"].value == "folded fp32 in training, folded fp32 in rendering, on cpu"
    assert doctor.ready(list(facts.values()))


def test_params_that_are_not_valid_are_missing_and_leave_with_1(
    write: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write()
    path.write_text(path.read_text().replace("z_dim", "zdim"))
    assert run(monkeypatch) == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("missing  params") and "did you mean 'z_dim'?" in last


def test_params_that_are_not_there_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "--params", "nowhere.yaml") == 1


@pytest.mark.parametrize(
    ("changes", "name", "part"),
    [
        ({"dataset": {"kind": "folder", "cars": None, "source": "photos"}}, "data", "there is no photos"),
        ({"dataset": {"kind": "celeba", "cars": None, "source": None}}, "data", "pigan datasets celeba"),
        (
            {"evaluate": {"extractors": ["inception"], "weights": {"inception": {"path": "w.pth"}}}},
            "features",
            "no file w.pth",
        ),
        ({"training": {"precision": "fp16"}}, "kernel", "needs a GPU"),
        ({"arms": {"half": {"training": {"precision": "fp16"}}}}, "kernel", "needs a GPU"),
        ({"training": {"memory_limit_gb": 1.0e-6}}, "training memory", "training.memory_limit_gb"),
        ({"training": {"pretrained": {"path": "gone", "sha256": "ab" * 32}}}, "starts from", "gone: no model"),
        ({"arms": {"tuned": {"training": {"pretrained": CARS}}}}, "starts from", "not abab"),
        (
            {"training": {"pretrained": {"path": "cars-32", "sha256": WEIGHTS_OF_CARS}}, "model": {"hidden": 32}},
            "starts from",
            "model.hidden",
        ),
    ],
)
def test_what_the_experiment_lacks_is_named(write: Write, changes: dict[str, Any], name: str, part: str) -> None:
    facts = told(write(**changes))
    assert (facts[name].state, part in facts[name].value) == ("missing", True), facts[name]
    assert not doctor.ready(list(facts.values()))


def test_models_to_start_from_are_looked_for_and_tried(write: Write) -> None:
    known = {"path": "cars-32", "sha256": WEIGHTS_OF_CARS}
    fact = told(write(arms={"tuned": {"training": {"pretrained": known}}}))["starts from"]
    assert (fact.state, fact.value) == ("ok", f"{released_folder('cars-32') / WEIGHTS} (tuned)")
    assert told(write())["starts from"].value == "seeded weights"


def test_weights_that_ship_are_verified(write: Write) -> None:
    fact = told(write())["features"]
    assert (fact.state, fact.value) == ("ok", "efficientnet_lite0, SHA-256 57934424... as expected")


def test_weights_that_can_be_fetched_are_advice_and_are_not_fetched(
    write: Write, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIGAN_CACHE", str(folder / "cache"))
    monkeypatch.setattr("pigan.evaluation.weights.download", pytest.fail)
    path = write(evaluate={"extractors": ["efficientnet_lite0", "inception", "clip"]})
    facts = told(path)
    fact = facts["features"]
    assert fact.state == "advice" and "inception not fetched yet; clip not fetched yet" in fact.value
    assert "`pigan weights inception`, `pigan weights clip`" in fact.advice
    assert doctor.ready(list(facts.values()))
    (folder / "cache/weights").mkdir(parents=True)
    (folder / "cache/weights/ViT-B-32.pt").write_bytes(b"something else")
    fact = told(path)["features"]
    assert fact.state == "missing" and "not the expected weights of clip" in fact.value


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"dataset": {"kind": "folder", "cars": None, "source": "."}}, "comes from"),
        ({"dataset": {"kind": "celeba", "cars": None, "source": None, "accept_terms": True}}, "fetches"),
    ],
)
def test_data_that_can_be_had_is_ok(write: Write, changes: dict[str, Any], part: str) -> None:
    fact = told(write(**changes))["data"]
    assert (fact.state, part in fact.value) == ("ok", True), fact


def test_raw_and_prepared_data_are_found(write: Write, folder: Path) -> None:
    path = write(dataset={"kind": "folder", "cars": None, "source": "photos"})
    (folder / "data/raw/cars").mkdir(parents=True)
    (folder / "data/raw/cars/a.png").touch()
    assert "pigan crop" in told(path)["data"].value
    (folder / "data/prepared/cars").mkdir(parents=True)
    (folder / "data/prepared/cars/dataset.json").write_text('{"count": 41}')
    assert told(path)["data"].value == "data/prepared/cars: 41 images"


def test_more_threads_than_processors_is_advice(write: Write) -> None:
    fact = told(write(training={"threads": 100_000}))["threads"]
    assert fact.state == "advice" and f"{usable_processors()} at most" in fact.advice


@pytest.mark.parametrize(
    ("flags", "state", "part"),
    [("fma avx2", "advice", "no 16-bit"), ("avx2 avx512_bf16 amx_fp16", "ok", "avx512_bf16, amx_fp16")],
)
def test_16_bit_instructions_are_those_that_linux_names(
    monkeypatch: pytest.MonkeyPatch, flags: str, state: str, part: str
) -> None:
    monkeypatch.setattr(machine, "instructions", flags.split)
    fact = told()["instructions"]
    assert fact.state == state and part in fact.value


def test_machine_without_compiler_engines_and_room_is_advised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.shutil, "which", lambda name: None)
    monkeypatch.setattr(machine, "_version", lambda name: None)
    monkeypatch.setattr(machine, "LITTLE_DISK", float("inf"))
    facts = told()
    assert {facts[name].state for name in ("compiler", "engines", "disk", "triton")} == {"advice"}
    assert doctor.ready(list(facts.values()))


def test_what_cannot_be_found_out_is_one_line_of_advice() -> None:
    def broken() -> Fact:
        raise OSError("no\nsuch thing")

    assert machine.asked("disk", broken) == Fact("disk", "cannot be found out (OSError: no such thing)", "advice")


def test_gpus_are_told_with_memory_capability_and_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclasses.dataclass
    class Card:
        name: str = "H200"
        total_memory: float = 141e9
        major: int = 9
        minor: int = 0

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: Card())
    monkeypatch.setattr(machine.shutil, "which", lambda name: None)
    one = "H200, 141 GB, compute capability 9.0"
    assert machine.LOOKS["gpu"]().value.startswith(f"{one}; {one}; driver ")


def test_json_and_text_hold_the_estimates(
    write: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write()
    rows = [Estimate(preset="celeba", stage="r64", hours=1234.5, memory_gb=3.25, images_per_second=2.5)]
    monkeypatch.setattr(doctor, "estimates", lambda device: rows)
    assert run(monkeypatch, "--estimates", "--json") == 0
    values = json.loads(capsys.readouterr().out)
    assert values["ready"] is True
    assert [fact["name"] for fact in values["facts"]] == MACHINE + NEEDS
    assert values["estimates"] == [rows[0].model_dump()]
    assert run(monkeypatch, "--estimates") == 0
    head, row = capsys.readouterr().out.split("Estimated from rates measured now, not run:\n")[1].splitlines()
    assert head.split()[:2] == ["preset", "stage"]
    assert row.split() == ["celeba", "r64", "1,234", "3.25", "2.50"]


def test_estimates_are_not_measured_unless_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def never(device: torch.device) -> list[Estimate]:
        raise PiganError("measured")

    monkeypatch.setattr(doctor, "estimates", never)
    assert run(monkeypatch, "--json") == 0
    assert json.loads(capsys.readouterr().out)["estimates"] is None
