"""DVC remotes: a folder, SSH and S3. What one person trained, another fetches and does not train again."""

import hashlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline_tree import Tree, TreeMaker

pytestmark = pytest.mark.engines

MADE = ("data/raw", "data/prepared", "data/stats", "runs", "reports/demo")
Connect = Callable[[Tree], None]


@pytest.fixture(scope="module")
def study(make_tree: TreeMaker) -> Tree:
    """Run and recorded."""
    tree = make_tree("study").with_two_arms()
    tree.dvc("repro")
    tree.commit()
    assert sum(tree.calls().values()) == 15
    return tree


def at_folder(server: None, place: Path) -> tuple[str, dict[str, str]]:
    return str(place / "store"), {}


def at_ssh(server: Any, place: Path) -> tuple[str, dict[str, str]]:
    return f"ssh://127.0.0.1:{server.port}{place}/store", {"user": server.user, "keyfile": str(server.key)}


def at_s3(server: Any, place: Path) -> tuple[str, dict[str, str]]:
    account = {"access_key_id": server.key, "secret_access_key": server.secret}
    return f"s3://{server.bucket}/{place.name}", {"endpointurl": server.endpoint, **account}


def connect(tree: Tree, url: str, local: dict[str, str]) -> None:
    """What `dvc remote add --local -d store URL` and `dvc remote modify --local store NAME VALUE` write."""
    values = "".join(f"    {name} = {value}\n" for name, value in {"url": url, **local}.items())
    (tree.path / ".dvc/config.local").write_text(f"[core]\n    remote = store\n['remote \"store\"']\n{values}")


def connected(study: Tree, make_tree: TreeMaker, remote: tuple[str, dict[str, str]], name: str, home: Path) -> Tree:
    """A clone of `study` that knows the remote."""
    clone = make_tree.clone(study, name)
    clone.env = {**clone.env, "HOME": str(home)}
    connect(clone, *remote)
    return clone


def made(tree: Tree) -> dict[str, str]:
    """Hashes of everything that stages made."""
    return {
        str(path.relative_to(tree.path)): hashlib.sha256(path.read_bytes()).hexdigest()
        for place in MADE
        for path in sorted((tree.path / place).rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize(("kind", "at"), [("folder", at_folder), ("ssh", at_ssh), ("s3", at_s3)])
def test_a_colleague_gets_the_files_and_repeats_nothing(
    kind: str,
    at: Callable[[Any, Path], tuple[str, dict[str, str]]],
    study: Tree,
    make_tree: TreeMaker,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    server = None if kind == "folder" else request.getfixturevalue(kind)
    remote, home = at(server, tmp_path), getattr(server, "home", tmp_path)
    owner, colleague = (connected(study, make_tree, remote, f"{kind}-{name}", home) for name in ("owner", "colleague"))
    shutil.copytree(study.path / ".dvc/cache", owner.path / ".dvc/cache")
    owner.dvc("push", "--run-cache")
    assert ".dvc/config.local" not in owner.git("status", "--porcelain", "--untracked-files=all")
    # as if dvc.lock had not been committed: only the run-cache knows what came out of what
    (colleague.path / "dvc.lock").unlink()
    colleague.dvc("fetch", "--run-cache")
    colleague.dvc("repro", "--pull")
    assert not colleague.calls()
    assert made(colleague) == made(study) and len(made(study)) > 60
    assert not colleague.git("diff", "--stat", "dvc.lock")


def test_wrong_secret_is_refused_in_a_line(study: Tree, make_tree: TreeMaker, s3: Any, tmp_path: Path) -> None:
    tree = make_tree.clone(study, "stranger")
    # the commands that docs/storage.md tells
    tree.dvc("remote", "add", "-q", "-d", "store", f"s3://{s3.bucket}/{tmp_path.name}")
    for name, value in at_s3(s3, tmp_path)[1].items():
        tree.dvc("remote", "modify", "-q", "--local", "store", name, "wrong" if "secret" in name else value)
    assert tree.git("status", "--porcelain").splitlines() == [" M .dvc/config"]
    said = tree.run(sys.executable, "-m", "dvc", "pull", fails=True)
    errors = [line for line in said.splitlines() if line.startswith("ERROR")]
    assert "Forbidden" in errors[0] and "failed to pull data" in errors[1] and len(errors) == 2, said
    assert "Traceback" not in said and not (tree.path / "runs").exists()


def test_gc_deletes_only_what_is_not_referenced(study: Tree, make_tree: TreeMaker, s3: Any, tmp_path: Path) -> None:
    remote = at_s3(s3, tmp_path)
    tree = connected(study, make_tree, remote, "collector", tmp_path)
    shutil.copytree(study.path / ".dvc/cache", tree.path / ".dvc/cache")
    # the second commit has another report, as if the first one's were of last year
    tree.dvc("checkout")
    (tree.path / "reports/demo/report.html").write_text("new")
    tree.dvc("push", "--run-cache")
    before = s3.keys(f"{tmp_path.name}/files/")
    tree.dvc("commit", "--force", "report")
    tree.commit()
    tree.dvc("push", "report")
    both = s3.keys(f"{tmp_path.name}/files/")
    # the page and the listing of its folder
    assert before < both and len(both - before) == 2
    tree.dvc("gc", "--force", "--all-commits", "--cloud")
    assert s3.keys(f"{tmp_path.name}/files/") == both
    tree.dvc("gc", "--force", "--workspace", "--cloud")
    after = s3.keys(f"{tmp_path.name}/files/")
    assert len(both - after) == 2 and both - after <= before
    # what others have at the commit before is gone for good
    clone = connected(tree, make_tree, remote, "after-gc", tmp_path)
    clone.dvc("pull", "report")
    assert (clone.path / "reports/demo/report.html").read_text() == "new"
    clone.git("checkout", "-q", "HEAD~1")
    said = clone.run(sys.executable, "-m", "dvc", "pull", "report", fails=True)
    assert "missing" in said.lower(), said
