"""Places, local GPUs, command templates, Kubernetes: what doctor says of them."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from pigan import cli
from pigan.clusters import others, place
from pigan.clusters.others import generic_facts, kubernetes_facts, local_facts
from pigan.clusters.place import file_system, place_facts
from pigan.clusters.profile import Profile, Want, read_profile
from pigan.machine import Fact
from pipeline_tree import ROOT


def profile(**values: Any) -> Profile:
    return Profile("p", Path("p"), {key.replace("_", "-"): value for key, value in values.items()})


def by_name(facts: list[Fact]) -> dict[str, Fact]:
    return {fact.name: fact for fact in facts}


MOUNTS = """/dev/sda / ext4 rw 0 0
server:/home /home nfs4 rw 0 0
scratch@tcp:/lfs /home/ada/my\\040work lustre rw 0 0
tmpfs /home/ada2 tmpfs rw 0 0
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/home/ada", "nfs4"),
        ("/home/ada/my work/x", "lustre"),
        ("/home/ada2/x", "tmpfs"),
        ("/home/ada22", "nfs4"),
        ("/srv", "ext4"),
    ],
)
def test_the_nearest_mount_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, kind: str) -> None:
    (tmp_path / "mounts").write_text(MOUNTS)
    monkeypatch.setattr(place, "MOUNTS", tmp_path / "mounts")
    monkeypatch.setattr(place, "existing", lambda path: path)
    assert file_system(Path(folder)) == kind


def test_files_that_other_nodes_may_not_see_are_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "file_system", lambda path: "ext4")
    facts = by_name(place_facts(one_machine=False))
    assert {facts[name].state for name in ("project", "work in progress", "python")} == {"advice"}
    assert {fact.state for fact in place_facts(one_machine=True)} == {"ok"}
    monkeypatch.setattr(place, "file_system", lambda path: "lustre")
    assert {fact.state for fact in place_facts(one_machine=False)} == {"ok"}


def test_work_that_cannot_be_written_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    # /proc takes no files, not even from root
    monkeypatch.setenv("PIGAN_WORK", "/proc/work")
    fact = by_name(place_facts(one_machine=True))["work"]
    assert fact.state == "missing" and fact.advice.startswith("set PIGAN_WORK")


@pytest.mark.parametrize(
    ("handed", "visible", "state"), [(2, "0,1", "ok"), (4, "0,1", "missing"), (1, "0,1", "advice"), (1, "", "ok")]
)
def test_gpus_handed_out_are_those_that_are_here(handed: int, visible: str, state: str) -> None:
    facts = local_facts(profile(resources=[f"gpu={handed}"]), [], {"CUDA_VISIBLE_DEVICES": visible})
    assert by_name(facts)["gpus"].state == state


def test_memory_handed_out_is_no_more_than_there_is_and_enough_for_each_job() -> None:
    wanted = [Want("train_r64", "", 1, 0, 900, 0)]
    for handed, part in ((10**9, "are here"), (800, "train_r64 wants 900 MB")):
        fact = by_name(local_facts(profile(resources={"mem_mb": handed}), wanted, {"CUDA_VISIBLE_DEVICES": ""}))[
            "memory"
        ]
        assert fact.state == "missing" and part in fact.value


@pytest.mark.parametrize(("kind", "tools"), others.COMMANDS.items())
def test_programs_of_the_template_are_looked_for(
    kind: str, tools: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    text = (ROOT / "workflow/profiles/cluster-generic/config.yaml").read_text()
    (tmp_path / "config.yaml").write_text(text.replace(" pbs", f" {kind}"))
    found = read_profile(str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{Path(sys.executable).parent}")
    monkeypatch.setattr(others.shutil, "which", lambda name: None if name in tools else name)
    facts = generic_facts(found)
    assert [fact.state for fact in facts] == ["missing"] * 3 and tools[0] in facts[0].value
    monkeypatch.setattr(others.shutil, "which", lambda name: name)
    assert [fact.state for fact in generic_facts(found)] == ["ok"] * 3


def test_templates_that_are_not_there_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    facts = by_name(generic_facts(profile(cluster_generic_submit_cmd="sh gone.sh {rule}")))
    assert facts["submit"].value == "no gone.sh here"
    assert (facts["status"].state, facts["cancel"].state) == ("advice", "advice")
    assert by_name(generic_facts(profile()))["submit"].state == "missing"


def test_kubernetes_wants_a_bucket_of_yours_and_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    facts = by_name(kubernetes_facts(read_profile("kubernetes"), {"KUBECONFIG": str(tmp_path / "gone")}))
    assert {name for name, fact in facts.items() if fact.state == "missing"} == {
        "cluster",
        "image",
        "bucket",
        "secrets",
    }
    (tmp_path / "config").write_text("")
    good = profile(
        container_image="registry.lab/pigan:1",
        default_storage_provider="s3",
        default_storage_prefix="s3://lab/pigan",
        shared_fs_usage="none",
    )
    environment = {"KUBECONFIG": str(tmp_path / "config"), **dict.fromkeys(others.SECRETS, "x")}
    assert all(fact.state != "missing" for fact in kubernetes_facts(good, environment))
    bad = profile(default_storage_prefix="lab/pigan")
    assert {fact.name for fact in kubernetes_facts(bad, environment) if fact.state == "missing"} == {
        *("image", "storage", "bucket", "shared files")
    }


def test_the_command_line_tells_and_leaves_with_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "gone"))
    monkeypatch.chdir(ROOT)
    for arguments in (["kubernetes", "--json"], ["nothing"]):
        monkeypatch.setattr(sys, "argv", ["pigan", "doctor", "--profile", *arguments])
        with pytest.raises(SystemExit) as left:
            cli.main()
        assert left.value.code == 1
    values, rest = json.JSONDecoder().raw_decode(capsys.readouterr().out)[0], None
    assert rest is None and values["ready"] is False and values["facts"][0]["name"] == "profile"
