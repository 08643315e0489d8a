"""A checkpoint that was damaged, changed or made up is refused by name, whatever bit it is."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from pigan.errors import PiganError
from pigan.training.checkpoint import content_sha256, describe, read_tensors, write_tensors
from pigan.training.loop import save_checkpoint
from pigan.training.state import initial_state, load_discriminator, load_generator, load_state

CPU = torch.device("cpu")
ABOUT = {"counters": {"step": 3}, "key": "schön", "seconds": 1e-05}


def small(path: Path) -> bytes:
    """A file of two tensors, which can be damaged in every bit."""
    write_tensors(path, {"a": torch.arange(3.0), "b.c": torch.tensor(7, dtype=torch.int64)}, ABOUT)
    return path.read_bytes()


def refused(path: Path) -> str:
    with pytest.raises(PiganError) as caught:
        read_tensors(path)
    told = str(caught.value)
    assert "\n" not in told and told.startswith(f"{path}: ")
    return told


def test_content_comes_back_with_its_description(tmp_path):
    small(tmp_path / "c")
    description, tensors = read_tensors(tmp_path / "c")
    assert description == {"format": 2, **ABOUT} == describe(tmp_path / "c")
    assert tensors["a"].tolist() == [0, 1, 2] and tensors["b.c"].item() == 7


def test_every_flipped_bit_is_found(tmp_path):
    data, path = small(tmp_path / "c"), tmp_path / "d"
    for number in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[number // 8] ^= 1 << number % 8
        path.write_bytes(flipped)
        told = refused(path)
        assert "delete it and run its stage again" in told or "train again" in told, (number, told)


def test_every_truncation_and_anything_appended_is_found(tmp_path):
    data, path = small(tmp_path / "c"), tmp_path / "d"
    for length in range(len(data)):
        path.write_bytes(data[:length])
        assert "delete it and run its stage again" in refused(path), length
    for more in (b"\0", b"x" * 100):
        path.write_bytes(data + more)
        assert "delete it and run its stage again" in refused(path)


def test_hash_is_that_of_the_content_alone(tmp_path):
    tensors = {"a": torch.rand(2, 3), "b": torch.zeros(0, 4), "c": torch.tensor(1.5)}
    first = content_sha256(ABOUT, tensors)
    assert first == content_sha256(ABOUT, dict(reversed(tensors.items())))
    others = [
        {**tensors, "a": tensors["a"].reshape(3, 2)},
        {**tensors, "a": tensors["a"].double()},
        {**tensors, "a": tensors["a"].view(torch.int32)},
        {"A": tensors["a"], "b": tensors["b"], "c": tensors["c"]},
        {key: value for key, value in tensors.items() if key != "b"},
    ]
    hashes = {first, content_sha256({**ABOUT, "key": "x"}, tensors), *(content_sha256(ABOUT, one) for one in others)}
    assert len(hashes) == 2 + len(others)
    assert small(tmp_path / "c") == small(tmp_path / "d")


@pytest.mark.parametrize("text", ["[]", "{", '"x"', "[" * 100_000, '{"format": 2}', '{"format": 2, "sha256": null}'])
def test_made_up_descriptions_are_one_line(text, tmp_path):
    for key in ("pigan", "other"):
        save_file({"a": torch.zeros(1)}, tmp_path / "c", metadata={key: text})
        assert "damaged, or no checkpoint of pigan" in refused(tmp_path / "c")


def test_all_that_loads_checks(tiny_params, tmp_path):
    path = tmp_path / "c"
    save_checkpoint(path, tiny_params, initial_state(tiny_params, CPU, 0))
    data = bytearray(path.read_bytes())
    # the last weight of whatever comes last, which neither network needs
    data[-2] ^= 1
    path.write_bytes(data)
    for load in (
        lambda: load_state(path, initial_state(tiny_params, CPU, 1), tiny_params),
        lambda: load_generator(path, tiny_params, "ema", CPU),
        lambda: load_discriminator(path, tiny_params, CPU),
    ):
        with pytest.raises(PiganError, match=r"c: damaged, .* not that of its SHA-256"):
            load()
    # asks the header only
    assert describe(path)["counters"]["step"] == 0


def change(path: Path, tensors=None, **about) -> None:
    """Rewrites a checkpoint as somebody who knows the format would, hash and all."""
    description, found = read_tensors(path)
    description.pop("format")
    write_tensors(path, {**found, **(tensors or {})}, {**description, **about})


def stepped(params, path: Path) -> str:
    """A checkpoint with Adam's moments; returns the name of one weight."""
    state = initial_state(params, CPU, 0)
    for optimizer, module in state.optimizers().values():
        for parameter in module.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
    save_checkpoint(path, params, state)
    return next(name for name, _ in state.generator.named_parameters())


def test_moments_of_another_shape_or_type_never_reach_adam(tiny_params, tmp_path):
    path = tmp_path / "c"
    name = f"optimizer_generator.{stepped(tiny_params, path)}"
    good = path.read_bytes()
    for key, value in (
        ("exp_avg_sq", torch.zeros(1)),
        ("exp_avg", torch.zeros(3, dtype=torch.float64)),
        ("step", torch.zeros(2)),
    ):
        path.write_bytes(good)
        change(path, {f"{name}.{key}": value})
        with pytest.raises(PiganError, match=f"Adam's {key} of .* does not fit"):
            load_state(path, initial_state(tiny_params, CPU, 0), tiny_params)


@pytest.mark.parametrize("counters", [{}, {"step": "many"}, {"step": 1, "other": 2}, None, [1]])
def test_made_up_counters_are_one_line(counters, tiny_params, tmp_path):
    path = tmp_path / "c"
    stepped(tiny_params, path)
    change(path, counters=counters)
    if counters == {}:
        load_state(path, initial_state(tiny_params, CPU, 0), tiny_params)
        return
    with pytest.raises(PiganError, match="its counters or scaler are wrong"):
        load_state(path, initial_state(tiny_params, CPU, 0), tiny_params)


def test_weights_of_another_shape_are_one_line(tiny_params, tmp_path):
    path = tmp_path / "c"
    change_name = f"ema.{stepped(tiny_params, path)}"
    change(path, {change_name: torch.zeros(1)})
    with pytest.raises(PiganError, match="holds other weights of ema than its architecture has") as caught:
        load_generator(path, tiny_params, "ema", CPU)
    assert "\n" not in str(caught.value)


def test_loading_leaves_nothing_of_another_checkpoint(tiny_params, tmp_path):
    stepped(tiny_params, tmp_path / "c")
    save_checkpoint(tmp_path / "fresh", tiny_params, initial_state(tiny_params, CPU, 0))
    state = initial_state(tiny_params, CPU, 5)
    load_state(tmp_path / "c", state, tiny_params)
    assert state.optimizer_generator.state
    # of a run with fp16, say
    state.scaler = torch.amp.GradScaler("cpu", init_scale=32.0, enabled=True)
    load_state(tmp_path / "fresh", state, tiny_params)
    save_checkpoint(tmp_path / "again", tiny_params, state)
    assert (tmp_path / "again").read_bytes() == (tmp_path / "fresh").read_bytes()


def test_description_is_json_in_the_header(tmp_path):
    small(tmp_path / "c")
    with safe_open(tmp_path / "c", framework="pt") as handle:
        (text,) = handle.metadata().values()
    values = json.loads(text)
    assert next(iter(values)) == "sha256" and len(values["sha256"]) == 64
