import contextlib
import copy
import json
import shutil

import pytest
import torch
from safetensors import safe_open

from pigan.config import merge, parse
from pigan.errors import PiganError
from pigan.training.checkpoint import describe, read_tensors, write_tensors
from pigan.training.curriculum import schedule
from pigan.training.loop import save_checkpoint
from pigan.training.state import Adam, initial_state, load_generator, load_state, load_weights
from pigan.training.step import training_step

CPU = torch.device("cpu")


def trained(params, steps=2):
    state = initial_state(params, CPU, 0)
    stage = params.curriculum.stages["r8"]
    for step in range(steps):
        real = torch.rand((4, 3, 8, 8), generator=torch.Generator().manual_seed(step)) * 2 - 1
        training_step(state, params, schedule(params.training, stage, step, step), real, 0)
    return state


def test_everything_that_training_changes_comes_back(tiny_params, tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    state = trained(tiny_params)
    save_checkpoint(path, tiny_params, state)
    again = initial_state(tiny_params, CPU, 99)
    load_state(path, again, tiny_params)
    for name, module in state.modules().items():
        for key, value in module.state_dict().items():
            assert torch.equal(value, again.modules()[name].state_dict()[key]), (name, key)
    real = torch.rand((4, 3, 8, 8), generator=torch.Generator().manual_seed(9)) * 2 - 1
    values = schedule(tiny_params.training, tiny_params.curriculum.stages["r8"], 2, 2)
    for one in (state, again):
        training_step(one, tiny_params, values, real, 0)
    assert vars(again.counters) == vars(state.counters)
    # the optimisers' moments came back too, or the next step would differ
    for one, other in zip(state.discriminator.parameters(), again.discriminator.parameters(), strict=True):
        assert torch.equal(one, other)


def test_same_state_same_bytes_and_no_pickle(tiny_params, tmp_path):
    for name in ("a", "b"):
        save_checkpoint(tmp_path / name, tiny_params, trained(tiny_params))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with safe_open(tmp_path / "a", framework="pt") as handle:
        assert {name.split(".")[0] for name in handle.keys()} == {  # noqa: SIM118
            "generator",
            "ema",
            "ema_slow",
            "discriminator",
            "optimizer_generator",
            "optimizer_discriminator",
        }


def test_averaged_and_raw_weights_can_be_asked_for(tiny_params, tmp_path):
    state = trained(tiny_params)
    save_checkpoint(tmp_path / "c", tiny_params, state)
    for weights, module in (("ema", state.ema), ("ema_slow", state.ema_slow), ("raw", state.generator)):
        loaded = load_generator(tmp_path / "c", tiny_params, weights, CPU)
        assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), module.parameters(), strict=True))


def test_checkpoint_of_another_architecture_names_the_difference(tiny_params, tmp_path):
    save_checkpoint(tmp_path / "c", tiny_params, trained(tiny_params, 0))
    wider = tiny_params.model_copy(update={"model": tiny_params.model.model_copy(update={"hidden": 16})})
    with pytest.raises(PiganError, match=r"made with model\.hidden 8, params say 16"):
        load_generator(tmp_path / "c", wider, "ema", CPU)


@pytest.mark.parametrize("sides", [(8,), (8, 16, 32), (32,)])
def test_training_starts_from_a_model_of_another_curriculum(tiny_params, tmp_path, sides):
    """That ended at a higher side, at a lower one, or has no side in common."""
    path = tmp_path / "c.safetensors"
    state = trained(tiny_params)
    save_checkpoint(path, tiny_params, state)
    stage = tiny_params.curriculum.stages["r8"].model_dump()
    names = [f"r{side}" for side in sides]
    order = [{"resolution": side, "after": after} for side, after in zip(sides, ["init", *names[:-1]], strict=True)]
    values = tiny_params.model_dump()
    values["curriculum"] = {"order": order, "stages": dict.fromkeys(names, stage)}
    values["generate"]["checkpoint"], values["arms"] = names[-1], {"baseline": {}}
    params = parse(values)
    other = initial_state(params, CPU, 1)
    load_weights(path, other, params)
    for name, module in state.modules().items():
        if name != "discriminator":
            for key, value in module.state_dict().items():
                assert torch.equal(value, other.modules()[name].state_dict()[key]), (name, key)
    images = torch.rand(2, 3, 8, 8)
    assert torch.equal(state.discriminator(images).logit, other.discriminator(images).logit)
    # Adam and the count of images begin anew, the count of steps, which noise and averages go by, does not
    assert vars(other.counters) == {"global_step": 2, "step": 0, "images_seen": 0}
    assert not other.optimizer_generator.state and not other.optimizer_discriminator.state


@pytest.mark.parametrize("lacking", ["generator ema_slow", "ema_slow", "ema"])
def test_weights_that_a_model_lacks_are_its_averaged_ones_and_its_discriminator_may_be_any(
    tiny_params, tmp_path, lacking
):
    path = tmp_path / "c.safetensors"
    state = trained(tiny_params)
    save_checkpoint(path, tiny_params, state)
    description, tensors = read_tensors(path)
    gone = (*lacking.split(), "discriminator")
    kept = {name: value for name, value in tensors.items() if name.split(".")[0] not in gone}
    write_tensors(path, kept, {"architecture": description["architecture"]})
    model = {"discriminator": {"kind": "ccs"}, "samples": tiny_params.model.samples + 1}
    params = parse(merge(tiny_params.model_dump(), {"model": model}))
    other = initial_state(params, CPU, 1)
    untouched = copy.deepcopy(other.discriminator)
    load_weights(path, other, params)
    modules, instead = state.modules(), "ema_slow" if lacking == "ema" else "ema"
    for name in ("generator", "ema", "ema_slow"):
        expected = modules[instead if name in gone else name].parameters()
        assert all(torch.equal(*pair) for pair in zip(expected, other.modules()[name].parameters(), strict=True)), name
    assert all(
        torch.equal(*pair) for pair in zip(untouched.parameters(), other.discriminator.parameters(), strict=True)
    )
    assert other.counters.global_step == 0
    wider = parse(merge(tiny_params.model_dump(), {"model": {"hidden": 16}}))
    with pytest.raises(PiganError, match=r"made with model\.hidden 8, params say 16"):
        load_weights(path, initial_state(wider, CPU, 1), wider)


def test_a_discriminator_of_another_kind_is_refused_where_the_model_has_one(tiny_params, tmp_path):
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, tiny_params, trained(tiny_params, 0))
    params = parse(merge(tiny_params.model_dump(), {"model": {"discriminator": {"kind": "ccs"}}}))
    for load in (load_weights, load_state):
        with pytest.raises(PiganError, match=r"made with model\.discriminator\.kind progressive, params say ccs"):
            load(path, initial_state(params, CPU, 0), params)


def test_nothing_of_what_was_trained_before_is_left_after_loading(tiny_params, tmp_path, monkeypatch):
    # no network is run here, for which fp16 would need a GPU
    monkeypatch.setattr("pigan.training.state.choose_dtype", lambda *_: torch.float16)
    usual, path = initial_state(tiny_params, CPU, 0), tmp_path / "c.safetensors"
    save_checkpoint(path, tiny_params, usual)
    fresh = usual.scaler.get_scale()
    state = initial_state(tiny_params, CPU, 0)
    state.scaler.scale(torch.ones(()))
    state.scaler.update(fresh / 8)
    save_checkpoint(tmp_path / "later", tiny_params, state)
    for optimizer, module in state.optimizers().values():
        for parameter in module.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
    load_state(path, state, tiny_params)
    assert not state.optimizer_generator.state and not state.optimizer_discriminator.state
    assert state.scaler.get_scale() == fresh
    load_state(tmp_path / "later", usual, tiny_params)
    assert usual.scaler.get_scale() == fresh / 8
    description, tensors = read_tensors(path)
    write_tensors(path, tensors, {**description, "scaler": {}})
    load_state(path, usual, tiny_params)
    assert usual.scaler.get_scale() == fresh


@pytest.mark.parametrize("counters", [{"epoch": 3}, {"step": "two"}, 3, None], ids=str)
def test_counters_that_are_none_are_told_in_one_line(tiny_params, tmp_path, counters):
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, tiny_params, trained(tiny_params, 0))
    description, tensors = read_tensors(path)
    write_tensors(path, tensors, {**description, "counters": counters})
    with pytest.raises(PiganError, match=r"damaged.*its counters or scaler are wrong"):
        load_state(path, initial_state(tiny_params, CPU, 0), tiny_params)


def test_a_discriminator_that_does_not_tell_its_highest_side_is_refused(tiny_params, tmp_path):
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, tiny_params, trained(tiny_params, 0))
    description, tensors = read_tensors(path)
    for top in (None, "16", 0):
        write_tensors(
            path, tensors, {**description, "architecture": {**description["architecture"], "top_resolution": top}}
        )
        with pytest.raises(PiganError, match=f"damaged.*highest side of its discriminator is {top}"):
            load_weights(path, initial_state(tiny_params, CPU, 0), tiny_params)


@pytest.mark.parametrize("damage", ["cut", "text", "foreign", "old"])
def test_damaged_or_foreign_file_is_one_line(tiny_params, tmp_path, damage):
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, tiny_params, trained(tiny_params, 0))
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:1000])
    elif damage == "text":
        path.write_text("no checkpoint")
    elif damage == "foreign":
        from safetensors.torch import save_file

        save_file({"x": torch.zeros(1)}, path)
    else:
        data = path.read_bytes().replace(b'\\"format\\": 2', b'\\"format\\": 0')
        path.write_bytes(data)
    with pytest.raises(PiganError, match=r"(no checkpoint of pigan|format 0)") as caught:
        describe(path)
    assert "\n" not in str(caught.value)


def test_missing_file_says_what_to_run(tmp_path):
    with pytest.raises(PiganError, match="run the stage that writes it first"):
        describe(tmp_path / "none")


def test_weights_that_are_not_finite_are_never_saved(tiny_params, tmp_path):
    state = trained(tiny_params, 0)
    path = tmp_path / "c"
    save_checkpoint(path, tiny_params, state)
    before = path.read_bytes()
    with torch.no_grad():
        next(state.generator.parameters())[0] = torch.nan
    with pytest.raises(PiganError, match="not finite"):
        save_checkpoint(path, tiny_params, state)
    assert path.read_bytes() == before


@pytest.mark.skipif(shutil.which("mount") is None, reason="needs mount")
def test_full_disk_leaves_the_checkpoint_before(tiny_params, tmp_path, small_disk):
    state = trained(tiny_params, 0)
    path = small_disk / "c"
    save_checkpoint(path, tiny_params, state)
    before = path.read_bytes()
    with (small_disk / "ballast").open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
        while True:
            ballast.write(b"x" * 4096)
    with pytest.raises(PiganError, match="the disk is full; free some space"):
        save_checkpoint(path, tiny_params, state)
    assert path.read_bytes() == before and sorted(p.name for p in small_disk.iterdir()) == ["ballast", "c"]


def test_description_is_plain_json(tiny_params, tmp_path):
    save_checkpoint(tmp_path / "c", tiny_params, trained(tiny_params, 1))
    description = describe(tmp_path / "c")
    assert json.loads(json.dumps(description)) == description
    assert description["counters"] == {"global_step": 1, "step": 1, "images_seen": 4}
    assert "seconds" not in description  # the same for an interrupted and an uninterrupted run


def test_adam_is_that_of_pytorch() -> None:
    start = [torch.randn(5, 3), torch.randn(4)]
    ours, theirs = ([torch.nn.Parameter(value.clone()) for value in start] for _ in range(2))
    settings = {"lr": 0.01, "betas": (0.0, 0.9), "fused": True}
    optimizers = [Adam([{"params": ours[:1], "scale": 1.0}, {"params": ours[1:]}], **settings)]
    optimizers.append(torch.optim.Adam([{"params": theirs[:1]}, {"params": theirs[1:]}], **settings))
    for step in range(3):
        gradients = [torch.randn(5, 3), torch.randn(4)]
        for parameters in (ours, theirs):
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = None if step == 1 and parameter.ndim == 1 else gradient
        for optimizer in optimizers:
            optimizer.param_groups[1]["lr"] = 0.01 / (step + 1)
            optimizer.step()
        assert all(torch.equal(*pair) for pair in zip(ours, theirs, strict=True))
    assert optimizers[0].param_groups[0]["scale"] == 1.0
    assert not torch.equal(ours[0], start[0])
