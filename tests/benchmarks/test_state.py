"""A training that is carried to another machine goes on with the same bits, or says what it lost."""

import shutil

import pytest
import torch

from benchmarks.box.state import FOLDER, HOW, pack, reduced, restored, take_up, unpack
from pigan.errors import PiganError
from pigan.training.checkpoint import read_tensors

PART = 1 << 14


def test_a_carried_training_ends_with_the_bits_of_one_that_was_not(stopped, other_place, train, tmp_path):
    assert pack(stopped, tmp_path / "box", PART, 64, []) == "exact"
    assert len(list((tmp_path / "box" / FOLDER).iterdir())) > 3
    carried = unpack(tmp_path / "box")
    assert carried.stage == "r16" and not carried.finished and carried.description["counters"]["step"] == 1
    take_up(other_place, carried)
    train(other_place, 16)
    at_home = stopped.folder.parent / f"{stopped.folder.name}-at-home"
    shutil.copytree(stopped.folder, at_home)
    undisturbed = type(stopped)(at_home, stopped.params, stopped.arm, stopped.seed, stopped.device)
    train(undisturbed, 16)
    last = stopped.params.curriculum.order[-1]
    (there, carried_on), (here, stayed) = (read_tensors(place.done(last)) for place in (other_place, undisturbed))
    assert there["counters"] == here["counters"] and there["counters"]["step"] == 5
    assert stayed.keys() == carried_on.keys()
    differing = [name for name in stayed if not torch.equal(stayed[name], carried_on[name])]
    # of the input layer of 8 px, which is trained no more: nothing reads them
    assert all("from_rgb.2" in name and name.endswith(".exp_avg") for name in differing)
    lines = (other_place.run / "r16/log.jsonl").read_text().splitlines()
    assert len(lines) == 5
    assert (other_place.run / "r8/log.jsonl").read_bytes() == (stopped.run / "r8/log.jsonl").read_bytes()


def test_a_finished_stage_is_carried_as_what_the_next_begins_from(stopped, other_place, train, tmp_path):
    finished = tmp_path / "finished"
    shutil.copytree(stopped.run, finished / stopped.run.relative_to(stopped.folder))
    place = type(stopped)(finished, stopped.params, stopped.arm, stopped.seed, stopped.device)
    pack(place, tmp_path, 1 << 24, 1, [{"minutes": 9}])
    carried = unpack(tmp_path)
    assert (carried.stage, carried.finished, carried.boxes) == ("r8", True, [{"minutes": 9}])
    take_up(other_place, carried)
    link, _, done = other_place.reached()
    assert link.name == "r8" and done
    train(other_place, 16)
    assert other_place.done(stopped.params.curriculum.order[-1]).is_file()


def test_what_does_not_fit_is_made_smaller_and_says_so(stopped, other_place, train, tmp_path):
    room = 1 << 24
    for how in HOW:
        assert pack(stopped, tmp_path, room, 1, []) == how
        room = (tmp_path / FOLDER / "part0").stat().st_size - 1
    carried = unpack(tmp_path)
    assert carried.how == HOW[2]
    assert not any(name.startswith("optimizer_") for name in carried.tensors)
    assert all(value.dtype == torch.float32 for value in carried.tensors.values())
    take_up(other_place, carried)
    train(other_place, 16)
    with pytest.raises(PiganError, match=r"MB even with 16-bit .*allow more with --state-files"):
        pack(stopped, tmp_path, room, 1, [])
    assert unpack(tmp_path).how == HOW[2], "what was there stays"


def test_only_what_the_next_step_overwrites_is_left_out():
    tensors = {
        "generator.a": torch.ones(2),
        "optimizer_generator.a.step": torch.tensor(3.0),
        "optimizer_generator.a.exp_avg": torch.full((2,), 5.0),
        "optimizer_generator.a.exp_avg_sq": torch.full((2,), 7.0),
    }
    assert reduced(tensors, HOW[0], 0.5).keys() == tensors.keys()
    kept = reduced(tensors, HOW[0], 0.0)
    assert kept.keys() == tensors.keys() - {"optimizer_generator.a.exp_avg"}
    back = restored(kept)
    assert back.keys() == tensors.keys()
    assert torch.equal(back["optimizer_generator.a.exp_avg"], torch.zeros(2))
    assert reduced(tensors, HOW[1], 0.0).keys() == {"generator.a"}
    assert reduced(tensors, HOW[2], 0.0)["generator.a"].dtype == torch.float16


def test_damaged_or_missing_parts_are_refused_in_one_line(stopped, tmp_path):
    pack(stopped, tmp_path, PART, 64, [])
    parts = sorted((tmp_path / FOLDER).iterdir())
    whole = parts[1].read_bytes()
    parts[1].write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(PiganError, match="damaged"):
        unpack(tmp_path)
    parts[1].unlink()
    with pytest.raises(PiganError, match="one is missing"):
        unpack(tmp_path)
    shutil.rmtree(tmp_path / FOLDER)
    with pytest.raises(PiganError, match="name the --out of a box before"):
        unpack(tmp_path)


def test_a_state_that_names_foreign_files_is_refused(stopped, other_place, tmp_path):
    pack(stopped, tmp_path, 1 << 24, 1, [])
    carried = unpack(tmp_path)
    carried.files["../../escaped/log.jsonl"] = b""
    with pytest.raises(PiganError, match="no file of a training"):
        take_up(other_place, carried)
