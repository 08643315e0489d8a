"""The command, from a params file to the files it writes."""

import sys

import pytest
import torch

from pigan import cli, presets
from pigan.bench import bench as bench_module
from pigan.bench.bench import Settings, bench, write_all
from pigan.bench.subject import Subject
from pigan.report.speed import read_speed

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr("pigan.bench.machine.SHAPES_CPU", ((64, 64, 64),))
    monkeypatch.setattr("pigan.bench.machine.COPIED_CPU", 1 << 16)
    monkeypatch.setattr("pigan.bench.case.SECONDS_QUICK", 0.0)


@pytest.fixture
def pigan(monkeypatch, capsys, tmp_path):
    """Runs `pigan bench` in this process and an empty folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    # the process stays as it is
    monkeypatch.setattr("pigan.runtime.prepare_process", lambda threads: None)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["pigan", "bench", *arguments])
        with pytest.raises(SystemExit) as left:
            cli.main()
        return (int(left.value.code or 0), *capsys.readouterr())

    return run


def test_experiment_is_measured_end_to_end(pigan, tiny_file, tmp_path):
    code, out, err = pigan("--quick", "--params", str(tiny_file), "--out", "runs/speed.json")
    assert code == 0 and out.endswith("wrote runs/speed.json\n") and "bench: 9/9 case" in err
    speed = read_speed(tmp_path / "runs" / "speed.json")
    assert [row.case for row in speed.rows] == [
        "field",
        "render",
        "discriminator",
        "step_8",
        "step_16",
        "step_16_formed",
    ]
    assert {row.path for row in speed.rows} == {"folded fp32"}
    assert all(row.error is not None and row.error < 1e-3 and row.share_of_matmul for row in speed.rows)
    assert speed.subject == "tiny" and speed.threads == 1 and speed.machine.matmul_gflops["fp32"] > 0
    assert speed.command == f"pigan bench --quick --params {tiny_file} --out runs/speed.json"
    assert [(row.preset, row.stage) for row in speed.estimates] == [("tiny", "r8"), ("tiny", "r16")]
    assert {point.what for point in speed.scaling} == {"resolution", "samples", "batch"}
    assert any("have a gradient" in note for note in speed.notes)
    # an experiment's file is a stage's only output; the report draws it
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["speed.json"]
    assert "Training step, 16 px" in out and "times as fast" in out


def test_papers_network_comes_with_table_and_plots(pigan, tiny_params, tmp_path, monkeypatch):
    small = Subject("paper network", tiny_params, (1, 8), (1, 8, 4), (1, 8), {8: 1})
    monkeypatch.setattr(bench_module, "paper_subject", lambda device, quick: small)
    code, out, _ = pigan("--quick", "--no-estimates", "--cases", "field, render", "--threads", "1", "--out", "b.json")
    assert code == 0
    written = ["b.json", "b.md", "b_roofline.svg", "b_scaling.svg"]
    assert sorted(path.name for path in tmp_path.glob("b*")) == written
    assert all(f"wrote {name}\n" in out for name in written)
    speed = read_speed(tmp_path / "b.json")
    assert [row.case for row in speed.rows] == ["field", "render"]
    assert not speed.estimates and not speed.scaling  # scaling belongs to the steps
    assert "Field, forward and backward" in (tmp_path / "b.md").read_text()


def test_only_the_paths_that_were_asked_for_are_measured(pigan, tiny_file, tmp_path, monkeypatch):
    monkeypatch.setattr("pigan.bench.machine.cpu_has_bf16", lambda: True)
    options = ("--params", str(tiny_file), "--cases", "field", "--no-estimates", "--out", "b.json")
    assert pigan("--quick", "--paths", "folded bf16,triton fp16", *options)[0] == 0
    speed = read_speed(tmp_path / "b.json")
    assert [row.path for row in speed.rows] == ["folded bf16"]
    assert "Only folded bf16, triton fp16 were asked for." in speed.notes


def test_what_was_measured_before_it_was_cut_off_is_kept(pigan, tiny_params, tmp_path, monkeypatch):
    small = Subject("paper network", tiny_params, (1, 8), (1, 8, 4), (1, 8), {8: 1})
    monkeypatch.setattr(bench_module, "paper_subject", lambda device, quick: small)
    monkeypatch.setattr(bench_module, "render_case", lambda *_: sys.exit(1))
    code, out, _ = pigan("--quick", "--no-estimates", "--cases", "field,render", "--out", "b.json")
    assert code == 1 and not out
    assert [row.case for row in read_speed(tmp_path / "b.json").rows] == ["field"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--paths", "folded fp8"), "pigan: --paths: no path 'folded fp8'; there are folded fp32, folded bf16"),
        (("--cases", "fild"), "pigan: --cases: no case 'fild' here; there are field, render, discriminator, step_32"),
        (("--out", "speed.csv"), "pigan: --out speed.csv: name a file that ends in .json"),
        (("--params", "nothing.yaml"), "pigan: nothing.yaml: no such file"),
    ],
)
def test_errors_are_one_line(pigan, arguments, told):
    code, out, err = pigan("--quick", *arguments)
    assert code in (1, 2) and out == ""
    assert err.startswith(told) and len(err.splitlines()) == 1


def test_file_holds_what_was_measured(tiny_params, tmp_path):
    speed = bench(tiny_params, Settings(CPU, 1, True, ("discriminator",), False, "pigan bench"))
    assert [row.case for row in speed.rows] == ["discriminator"]
    written = write_all(speed, tmp_path / "speed.json")
    assert read_speed(written[0]) == speed and all(path.stat().st_size for path in written)


def test_tiles_are_as_large_as_the_threads_that_are_measured_take(tiny_params, monkeypatch):
    monkeypatch.setattr("pigan.training.memory.CPU_POINTS", 64)
    one, four = (
        bench(tiny_params, Settings(CPU, threads, True, ("field",), False, "pigan bench")).rows[0].peak_mb
        for threads in (1, 4)
    )
    assert one < four


def test_nothing_of_an_experiment_may_be_small_enough():
    huge = presets.params("carla")
    with pytest.raises(bench_module.UsageError, match=r"there are field, render, discriminator$"):
        bench(huge, Settings(CPU, 1, True, ("step_128",), False, "pigan bench"))


def test_experiment_has_no_host_cases(tiny_params):
    with pytest.raises(bench_module.UsageError, match=r"no case 'fid' here; there are field, render.*step_16_formed$"):
        bench(tiny_params, Settings(CPU, 1, True, ("fid",), False, "pigan bench"))
