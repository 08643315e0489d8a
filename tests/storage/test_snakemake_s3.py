"""Snakemake on an object store: results live in a bucket, and machines need no disk in common."""

import shutil
from typing import Any

import pytest

from pipeline_tree import Tree, TreeMaker

pytestmark = pytest.mark.engines

PREFIX, NOTHING = "study-one", "Nothing to be done"
RUN = "runs/cars/baseline/seed0"
STORED = {
    "data/raw/cars/transforms.json",
    "data/prepared/cars/images_16.npy",
    "data/stats/cars/efficientnet_lite0_32.npz",
    *(f"{RUN}/{stage}/{file}" for stage in ("init", "r16", "r32") for file in ("state.json", "snapshots/index.json")),
    f"{RUN}/generated/generated.json",
    f"{RUN}/evaluated/neighbours.png",
    f"{RUN}/metrics.json",
    "runs/cars/speed.json",
    "reports/demo/report.html",
    "reports/demo/figures/fid.svg",
    "logs/cars/baseline-seed0/r16.log",
}


@pytest.fixture(scope="module")
def run_on(s3: Any) -> Any:
    """Call it with a tree: the pipeline with its files in the bucket, as docs/storage.md tells."""

    def run(tree: Tree, *arguments: str) -> str:
        account = {"ACCESS_KEY": s3.key, "SECRET_KEY": s3.secret, "ENDPOINT_URL": s3.endpoint}
        tree.env = {**tree.env, **{f"SNAKEMAKE_STORAGE_S3_{name}": value for name, value in account.items()}}
        place = ("--default-storage-provider", "s3", "--default-storage-prefix", f"s3://{s3.bucket}/{PREFIX}")
        return tree.snakemake(*place, *arguments, "--", "report")

    return run


@pytest.fixture(scope="module")
def first(make_tree: TreeMaker, run_on: Any) -> Tree:
    """The machine that ran everything."""
    tree = make_tree("first").with_two_arms()
    tree.commit()
    run_on(tree)
    assert sum(tree.calls().values()) == 15
    return tree


def test_outputs_are_in_the_bucket_and_not_in_the_tree(first: Tree, s3: Any) -> None:
    keys = {key.removeprefix(f"{PREFIX}/") for key in s3.keys(PREFIX)}
    assert keys >= STORED
    assert [path.name for path in (first.path / "reports").iterdir()] == ["README.md"]
    assert not (first.path / "runs").exists() and not list((first.path / ".snakemake/storage").rglob("*.npy"))


def test_another_machine_has_nothing_to_do(first: Tree, make_tree: TreeMaker, run_on: Any) -> None:
    second = make_tree.clone(first, "second-machine")
    assert NOTHING in run_on(second)
    assert not second.calls()
    # the params that files were made with are noted on the machine that made them, not in the bucket
    second.edit("  flip: false", "  flip: true")
    assert NOTHING in run_on(second, "--dry-run")
    notes = first.path / ".snakemake/metadata"
    shutil.copytree(notes, second.path / ".snakemake/metadata", dirs_exist_ok=True)
    planned = run_on(second, "--dry-run")
    assert "train_r32" in planned and "crop" not in planned.split("Job stats")[1].split("total")[0]


def test_wrong_secret_runs_nothing(first: Tree, make_tree: TreeMaker, s3: Any) -> None:
    tree = make_tree.clone(first, "intruder")
    account = {"ACCESS_KEY": s3.key, "SECRET_KEY": "wrong", "ENDPOINT_URL": s3.endpoint}
    tree.env = {**tree.env, **{f"SNAKEMAKE_STORAGE_S3_{name}": value for name, value in account.items()}}
    place = ("--default-storage-provider", "s3", "--default-storage-prefix", f"s3://{s3.bucket}/{PREFIX}")
    said = tree.snakemake(*place, "--", "report", fails=True)
    assert "Forbidden" in said
    assert not tree.calls()
