"""What one engine made, the other takes over: nothing runs twice, and nothing stale passes for new."""

import os
import re
import subprocess

import pytest

from pipeline_tree import Tree, TreeMaker

pytestmark = pytest.mark.engines

CLEAN = "Data and pipelines are up to date."
NOTHING = "Nothing to be done"
# what docs/storage.md leaves in where raw data is left out
PUSHED = "crop real_stats init train generate evaluate bench report"


@pytest.fixture(scope="module")
def recorded(make_tree: TreeMaker) -> Tree:
    """Run by Snakemake, recorded by DVC, pushed and committed."""
    tree = make_tree("recorded").with_two_arms()
    tree.make("report")
    tree.make("record")
    (tree.path.parent / "storage").mkdir()
    tree.dvc("remote", "add", "-q", "--default", "storage", str(tree.path.parent / "storage"))
    tree.dvc("push", "-q")
    tree.commit()
    tree.calls()
    return tree


@pytest.fixture(scope="module")
def repeated(make_tree: TreeMaker) -> Tree:
    """Run by DVC."""
    tree = make_tree("dvc-first").with_two_arms()
    tree.dvc("repro", "-q")
    tree.calls()
    return tree


def test_dvc_takes_over_what_snakemake_made(recorded: Tree) -> None:
    assert CLEAN in recorded.dvc("status")
    assert NOTHING in recorded.snakemake("--dry-run", "report")
    recorded.dvc("repro", "-q")
    assert NOTHING in recorded.make("report")
    assert not recorded.calls()


def test_git_keeps_the_record_and_none_of_the_data(recorded: Tree) -> None:
    kept = recorded.git("ls-files").split()
    assert "dvc.lock" in kept
    assert [path for path in kept if path.startswith(("data/", "runs/", "reports/", "logs/", "work/"))] == [
        "data/README.md",
        "reports/README.md",
    ]
    # DVC puts no ignore files beside outputs, which Snakemake would delete with the folder
    assert [path for path in kept if path.endswith(".gitignore")] == [".dvc/.gitignore", ".gitignore"]


def test_clone_pulls_adopts_and_still_notices_changes(recorded: Tree, make_tree: TreeMaker) -> None:
    clone = make_tree.clone(recorded, "clone")
    assert "run dvc pull first" in clone.make("adopt", fails=True)
    clone.dvc("pull", "-q")
    clone.make("adopt")
    assert NOTHING in clone.snakemake("--dry-run", "report")
    assert CLEAN in clone.dvc("status")
    assert not clone.calls()
    clone.edit("views: 2000", "views: 1000")
    assert "download" in clone.snakemake("--dry-run", "report")


def test_record_refuses_what_is_not_up_to_date(recorded: Tree) -> None:
    recorded.edit("steps: 1300", "steps: 1301")
    assert "run make report first" in recorded.make("record", fails=True)
    recorded.edit("steps: 1301", "steps: 1300")


def test_one_engine_at_a_time(recorded: Tree) -> None:
    lock = recorded.path / ".snakemake/locks/0.input.lock"
    lock.write_text("runs/cars\n")
    assert "Snakemake is at work" in recorded.make("record", fails=True)
    assert "Snakemake is at work" in recorded.make("repro", fails=True)
    lock.unlink()
    lock = recorded.path / ".dvc/tmp/rwlock"
    free = lock.read_text()
    held = '{"write": {"runs/cars": {"pid": PID, "cmd": "dvc repro"}}}'
    lock.write_text(held.replace("PID", str(os.getpid())))
    assert "DVC is at work" in recorded.make("adopt", fails=True)
    assert "DVC is at work" in recorded.make("report", fails=True)
    # of one that was killed
    ended = subprocess.Popen(["true"])
    ended.wait()
    lock.write_text(held.replace("PID", str(ended.pid)))
    assert NOTHING in recorded.make("report")
    lock.write_text(free)


def test_code_that_never_ran_is_not_recorded(recorded: Tree) -> None:
    code = recorded.path / "pigan/evaluation/frechet.py"
    text = code.read_text()
    code.write_text(text + "SCALE = 2\n")
    assert NOTHING in recorded.make("report")
    told = recorded.make("record", fails=True)
    assert "the code of real_stats, evaluate changed" in told and "make record CODE=ran" in told
    code.write_text(text)
    assert CLEAN in recorded.dvc("status")


def test_clone_without_raw_data_adopts(recorded: Tree, make_tree: TreeMaker) -> None:
    clone = make_tree.clone(recorded, "no-raw")
    clone.dvc("pull", "-q", *PUSHED.split())
    clone.make("adopt")
    assert not (clone.path / "data/raw/cars").exists()
    assert NOTHING in clone.snakemake("--dry-run", "report")
    assert NOTHING in clone.make("report")
    assert not clone.calls()


def test_plots_page_needs_no_network(repeated: Tree) -> None:
    repeated.dvc("plots", "show")
    page = (repeated.path / "dvc_plots/index.html").read_text()
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", page)
    assert page.count("<img ") == 14 + 7 * 2
    assert page.count("vegaEmbed('#") == 4


def test_snakemake_takes_over_what_dvc_made_and_still_notices_changes(repeated: Tree) -> None:
    repeated.edit("steps: 1300", "steps: 1301")
    # Snakemake has no record of the params these files were made with: it must not call them new
    assert "run make repro instead" in repeated.make("report", fails=True)
    repeated.edit("steps: 1301", "steps: 1300")
    assert "taken over" in repeated.make("report")
    assert not repeated.calls()
    assert CLEAN in repeated.dvc("status")
    repeated.edit("steps: 1300", "steps: 1301")
    assert "train_r32" in repeated.snakemake("--dry-run", "report")
