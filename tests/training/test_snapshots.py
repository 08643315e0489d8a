import json

import pytest
import torch
from safetensors import safe_open

from pigan.errors import PiganError
from pigan.training.checkpoint import describe
from pigan.training.snapshots import is_due, keep_until, publish, read_snapshots, save_snapshot
from pigan.training.state import Counters, initial_state, load_generator

CPU = torch.device("cpu")


def kept(params, folder, *steps):
    """A state, and its snapshots at these steps."""
    state = initial_state(params, CPU, 0)
    for step in steps:
        with torch.no_grad():
            next(state.ema.parameters()).add_(step)
        state.counters = Counters(step, step, 4 * step)
        save_snapshot(folder, params, state, 8)
    return state


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def file(step):
    return f"step_{step:07d}.safetensors"


def test_every_multiple_is_due_and_none_without_a_number():
    assert [step for step in range(1, 13) if is_due(step, 4)] == [4, 8, 12]
    assert not any(is_due(step, 0) for step in range(9))


def test_snapshot_is_the_moving_average_and_nothing_else(tiny_params, tmp_path):
    state = kept(tiny_params, tmp_path / "a", 4)
    kept(tiny_params, tmp_path / "b", 4)
    path = tmp_path / "a" / file(4)
    assert path.read_bytes() == (tmp_path / "b" / file(4)).read_bytes()
    with safe_open(path, framework="pt") as handle:
        assert {name.split(".")[0] for name in handle.keys()} == {"ema"}  # noqa: SIM118
    loaded = load_generator(path, tiny_params, "ema", CPU)
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), state.ema.parameters(), strict=True))
    about = describe(path)
    assert about["resolution"] == 8 and about["counters"] == {"global_step": 4, "step": 4, "images_seen": 16}


def test_snapshot_of_another_architecture_is_refused(tiny_params, tmp_path):
    kept(tiny_params, tmp_path, 4)
    wider = tiny_params.model_copy(update={"model": tiny_params.model.model_copy(update={"hidden": 16})})
    with pytest.raises(PiganError, match=r"made with model\.hidden 8, params say 16"):
        load_generator(tmp_path / file(4), wider, "ema", CPU)


def test_average_that_is_not_finite_is_not_kept(tiny_params, tmp_path):
    state = initial_state(tiny_params, CPU, 0)
    with torch.no_grad():
        next(state.ema.parameters())[0] = torch.nan
    with pytest.raises(PiganError, match="not finite"):
        save_snapshot(tmp_path, tiny_params, state, 8)
    assert names(tmp_path) == []


def test_what_is_later_than_the_checkpoint_is_dropped(tiny_params, tmp_path):
    kept(tiny_params, tmp_path, 4, 8, 12)
    (tmp_path / f".{file(16)}.x1y2").write_bytes(b"half")
    assert keep_until(tmp_path, Counters(9, 9, 36), 4)
    assert names(tmp_path) == [file(4), file(8)]
    # of a stage that began after step 5 only the second is its own
    assert keep_until(tmp_path, Counters(9, 4, 36), 4) and names(tmp_path) == [file(8)]
    assert not keep_until(tmp_path, Counters(9, 9, 36), 4)


def test_nothing_due_is_nothing_missing(tmp_path):
    assert keep_until(tmp_path / "none", Counters(3, 3, 12), 4)
    assert keep_until(tmp_path / "none", Counters(30, 30, 120), 0)
    assert not keep_until(tmp_path / "none", Counters(4, 4, 16), 4)


def test_history_comes_first(tiny_params, tmp_path):
    kept(tiny_params, tmp_path / "first-work", 4, 8)
    publish(tmp_path / "first", None, tmp_path / "first-work")
    kept(tiny_params, tmp_path / "work", 12)
    publish(tmp_path / "second", tmp_path / "first", tmp_path / "work")
    snapshots = read_snapshots(tmp_path / "second")
    assert [(one.step, one.images_seen, one.resolution, one.file) for one in snapshots] == [
        (step, 4 * step, 8, file(step)) for step in (4, 8, 12)
    ]
    for one, source in zip(snapshots, ("first-work", "first-work", "work"), strict=True):
        written = (tmp_path / "second/snapshots" / one.file).read_bytes()
        assert written == (tmp_path / source / one.file).read_bytes()
    # again, from other work: the folder is replaced as a whole
    publish(tmp_path / "second", tmp_path / "first", tmp_path / "no-work")
    assert names(tmp_path / "second/snapshots") == ["index.json", file(4), file(8)]


def test_first_weights_have_an_empty_index_and_old_ones_none(tmp_path):
    publish(tmp_path / "init")
    assert json.loads((tmp_path / "init/snapshots/index.json").read_text()) == {"snapshots": []}
    (tmp_path / "old").mkdir()
    assert read_snapshots(tmp_path / "init") == read_snapshots(tmp_path / "old") == []


@pytest.mark.parametrize(
    ("index", "told"),
    [
        (None, "no such file"),
        ("{", "cannot be read"),
        ("[]", "no index of snapshots"),
        ('{"snapshots": [{"step": 4}]}', "no index of snapshots"),
        ('{"snapshots": [{"step": 4, "images_seen": 1, "resolution": 8, "file": "gone"}]}', "gone: no such file"),
    ],
)
def test_broken_history_is_one_line(tmp_path, index, told):
    (tmp_path / "snapshots").mkdir()
    if index is not None:
        (tmp_path / "snapshots/index.json").write_text(index)
    with pytest.raises(PiganError, match=told) as caught:
        read_snapshots(tmp_path)
    assert "\n" not in str(caught.value)
