"""Profiles as they are written, and what Snakemake makes of them."""

import subprocess
import sys
from pathlib import Path

import pytest

from pigan.clusters import examine, profile
from pigan.clusters.profile import Profile, Want, most_of, parse_dry_run, read_profile, unknown_rules, wants
from pigan.errors import PiganError
from pipeline_tree import ROOT

SHIPPED = sorted(file.parent.name for file in (ROOT / "workflow/profiles").glob("*/config.yaml"))

DRY_RUN = """Building DAG of jobs...
[Thu Nov 26 03:09:05 2026]
rule train_r16:
    input: data/prepared/cars
    output: runs/cars/baseline/seed0/r16/checkpoint.safetensors
    threads: 4
    resources: tmpdir=/tmp, mem_mb=16000, mem=16 GB, disk_mb=<TBD>, slurm_partition=gpu, runtime=240, gpu=1, cpu=1
[Thu Nov 26 03:09:05 2026]
rule train_r16:
    resources: tmpdir=/tmp, mem_mb=32000, runtime=120, gpu=1, slurm_partition=gpu
localrule report:
    jobid: 0
    resources: tmpdir=/tmp
"""


def written(folder: Path, text: str) -> Profile:
    (folder / "own").mkdir()
    (folder / "own/config.yaml").write_text(text)
    return read_profile(f"{folder}/own")


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the top of the project."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("PIGAN_GPU", "0")


def test_a_dry_run_is_read() -> None:
    jobs = parse_dry_run(DRY_RUN, 3)
    assert [job.rule for job in jobs] == ["train_r16", "train_r16", "report"]
    assert jobs[0] == Want("train_r16", "gpu", 4, 1, 16000, 240, 3)
    assert most_of(jobs) == [Want("train_r16", "gpu", 4, 1, 32000, 240, 3), Want("report", "", 1, 0, 0, 0, 3)]


def test_all_that_the_issue_names_are_shipped() -> None:
    assert SHIPPED == ["cluster-generic", "default", "gpu-workstation", "kubernetes", "slurm", "slurm-preemptible"]


@pytest.mark.parametrize("name", SHIPPED)
def test_every_key_of_a_shipped_profile_has_its_reason_above_it(name: str) -> None:
    lines = (ROOT / f"workflow/profiles/{name}/config.yaml").read_text().splitlines()
    for before, line in zip(["", *lines], lines, strict=False):
        if line and not line.startswith(("#", " ", "executor:")):
            assert before.startswith(("#", "  ")), line


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("name", "gpus", "minutes"), [("slurm", 1, 1440), ("slurm-preemptible", 1, 240)])
def test_snakemake_takes_a_shipped_profile_whose_last_attempt_stays_in_bounds(
    name: str, gpus: int, minutes: int
) -> None:
    found = read_profile(name)
    asked = {want.rule: want for want in wants(found)}
    training = asked["train_r16"]
    assert (training.gpus, training.minutes, training.memory) == (gpus, minutes, 32000)
    assert training.partition == found.resources("default-resources")["slurm_partition"]
    assert asked["crop"].gpus == 0 and asked["generate"].gpus == 1
    assert unknown_rules(found, asked) == []


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("name", ["gpu-workstation", "cluster-generic"])
def test_snakemake_takes_the_others(name: str) -> None:
    assert {want.rule for want in wants(read_profile(name))} >= {"download", "train_r16", "train_r32", "report"}


@pytest.mark.usefixtures("here")
def test_snakemake_takes_the_one_whose_dry_run_would_ask_a_bucket() -> None:
    parse = (
        "from snakemake.cli import parse_args\n"
        "told = parse_args(['--workflow-profile', 'workflow/profiles/kubernetes', '-n', 'report'])[1]\n"
        "print(told.executor, told.default_storage_prefix, told.retries, *told.shared_fs_usage, *told.set_resources)\n"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", parse], capture_output=True, text=True, check=True)
    words = done.stdout.split()
    assert words[:3] == ["kubernetes", "s3://my-bucket/pigan", "5"] and "train_r32" in words


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("executor: slurm\njobs: 1\nretrys: 3\n", "unrecognized arguments: --retrys=3"),
        ("executor: nothing\njobs: 1\n", "invalid choice: 'nothing'"),
        ("jobs: [1\n", "no YAML"),
        ("- jobs\n", "holds no settings"),
    ],
)
def test_what_snakemake_would_refuse_is_one_line(tmp_path: Path, text: str, part: str) -> None:
    with pytest.raises(PiganError) as error:
        wants(written(tmp_path, text))
    assert part in str(error.value) and len(str(error.value).splitlines()) == 1


def test_a_profile_that_is_not_there_is_answered_with_those_that_are(here: None) -> None:
    with pytest.raises(PiganError, match="no profile; there are cluster-generic, default, gpu-workstation"):
        read_profile("slrum")


@pytest.mark.parametrize(
    "form", ["set-resources:\n  trian: {gpu: 1}\n  train_r512: {gpu: 1}\n", "set-threads:\n- trian=2\n"]
)
def test_rules_that_do_not_exist_are_named(tmp_path: Path, form: str) -> None:
    assert unknown_rules(written(tmp_path, form), ["train", "crop"]) == ["trian"]


def test_a_plugin_that_is_not_installed_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> str:
        raise examine.PackageNotFoundError(name)

    monkeypatch.setattr(examine, "version", missing)
    fact = examine.plugin(written(tmp_path, "executor: slurm\n"))
    assert (fact.state, fact.advice) == ("missing", "pip install 'pigan[slurm]'")


def test_newer_file_names_and_lists_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "config.yaml").write_text("executor: local\n")
    (folder / "profile.yaml").write_text("executor: slurm\nrestart-times: 2\nresources:\n- gpu=3\n")
    found = read_profile(str(folder))
    assert (found.executor, found.attempts, found.resources("resources")) == ("slurm", 3, {"gpu": "3"})
    assert profile.read_profile(str(folder)).file.name == "profile.yaml"
