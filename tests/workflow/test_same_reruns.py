"""A changed value in params.yaml runs exactly the stages that read it, and what follows, in both engines."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline_tree import Tree, TreeMaker

pytestmark = pytest.mark.engines

BOTH = ("baseline", "relu-pe")
AFTER_TRAINING = ("generate", "evaluate")
CHANGES = {
    "a comment": ("# One experiment.", "# An experiment.", set()),
    "report": ("title: pi-GAN on", "title: The pi-GAN on", {"report"}),
    "the memory that training may take": ("memory_limit_gb: null", "memory_limit_gb: 1.5", {"bench", "report"}),
    "metrics": ("kid_subsets: 50", "kid_subsets: 40", {*(f"evaluate {arm}" for arm in BOTH), "report"}),
    "real images": (
        "real_images: 1024",
        "real_images: 1000",
        {"real-stats", *(f"evaluate {arm}" for arm in BOTH), "report"},
    ),
    "one resolution, a number as DVC writes it": (
        "lr_generator_end: 2.0e-4",
        "lr_generator_end: 2e-06",
        {
            *(f"train {arm} r32" for arm in BOTH),
            *(f"{stage} {arm}" for stage in AFTER_TRAINING for arm in BOTH),
            "bench",
            "report",
        },
    ),
    "one arm": (
        "field: relu-pe",
        "field: concat-relu",
        {
            "init relu-pe",
            "train relu-pe r16",
            "train relu-pe r32",
            *(f"{stage} relu-pe" for stage in AFTER_TRAINING),
            "report",
        },
    ),
    "the model to start from": (
        "pretrained: null",
        f"pretrained:\n    path: cars-32\n    sha256: {'ab' * 32}",
        {
            *(f"init {arm}" for arm in BOTH),
            *(f"train {arm} {stage}" for arm in BOTH for stage in ("r16", "r32")),
            *(f"{stage} {arm}" for stage in AFTER_TRAINING for arm in BOTH),
            "bench",
            "report",
        },
    ),
    "another arm": (
        "arms:\n",
        "arms:\n  wide:\n    model:\n      hidden: 96\n",
        {
            "init wide",
            "train wide r16",
            "train wide r32",
            *(f"{stage} wide" for stage in AFTER_TRAINING),
            "report",
        },
    ),
}


def run_both(by_dvc: Tree, by_snakemake: Tree) -> None:
    """Both engines, side by side."""
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(by_dvc.dvc, "repro", "-q"), pool.submit(by_snakemake.snakemake, "report")]:
            done.result()


@pytest.fixture(scope="module")
def trees(make_tree: TreeMaker) -> tuple[Tree, Tree]:
    """Two trees in which everything has run, one by DVC, one by Snakemake."""
    by_dvc, by_snakemake = make_tree("by-dvc").with_two_arms(), make_tree("by-snakemake").with_two_arms()
    run_both(by_dvc, by_snakemake)
    return by_dvc, by_snakemake


def test_first_run_runs_each_stage_once(trees: tuple[Tree, Tree]) -> None:
    first, second = (tree.calls() for tree in trees)
    assert first == second
    assert set(first.values()) == {1}
    assert len(first) == 5 + 5 * len(BOTH)


@pytest.mark.parametrize("change", CHANGES)
def test_change_runs_the_same_stages(trees: tuple[Tree, Tree], change: str) -> None:
    old, new, expected = CHANGES[change]
    for tree in trees:
        tree.calls()
        tree.edit(old, new)
    by_dvc, by_snakemake = trees
    run_both(by_dvc, by_snakemake)
    assert set(by_dvc.calls()) == expected
    assert set(by_snakemake.calls()) == expected


def test_evaluation_at_another_side_of_the_curriculum_trains_nothing(trees: tuple[Tree, Tree]) -> None:
    for tree in trees:
        tree.calls()
        tree.edit("  resolution: 32\n  images: 384", "  resolution: 16\n  images: 384")
    by_dvc, by_snakemake = trees
    run_both(by_dvc, by_snakemake)
    expected = {"real-stats", "generate", "evaluate", "bench", "report"}
    # DVC goes by what crop writes, Snakemake by the sides that it is asked for
    assert {call.split()[0] for call in by_dvc.calls()} == {"crop", *expected}
    assert {call.split()[0] for call in by_snakemake.calls()} == expected
