import pytest
import torch

from pigan import presets
from pigan.bench import subject
from pigan.bench.subject import (
    Way,
    chosen_way,
    own_subject,
    paper_subject,
    usual_values,
    ways_of,
    with_way,
)
from pigan.errors import PiganError

CPU = torch.device("cpu")


def had(monkeypatch, bf16=None, fp16="fp16 needs a GPU"):
    monkeypatch.setattr(subject, "precisions", lambda _: {"fp32": None, "bf16": bf16, "fp16": fp16})


def test_papers_network_is_measured_at_the_stated_sizes():
    full = paper_subject(CPU, quick=False)
    assert full.params.model.hidden == 256 and full.params.model.samples == 12 and full.params.model.hierarchical
    assert full.field == (4, 32) and full.render == (1, 32, 12) and full.steps == {32: 2, 64: 1}
    quick = paper_subject(CPU, quick=True)
    assert quick.field[1] < full.field[1] and quick.steps == {32: 1}


def test_experiments_stages_are_measured_with_their_batches(tiny_params):
    own = own_subject(tiny_params, CPU, quick=True)
    assert own.name == "tiny" and own.steps == {8: 4, 16: 4}
    assert own.field == (4, 16) and own.discriminator == (4, 16) and own.render == (16, 16, 4)
    assert not own.notes


def test_stage_without_steps_is_left_out(tiny_params):
    changes = {"main_arm": "no-growing"}
    params = tiny_params.model_copy(update={"report": tiny_params.report.model_copy(update=changes)})
    assert list(own_subject(params, CPU, quick=True).steps) == [16]


def test_what_is_too_large_for_the_machine_is_smaller_or_left_out():
    own = own_subject(presets.params("celeba-paper"), CPU, quick=True)
    # 32 px are 190 GFLOP an image
    assert own.steps == {} and len(own.notes) == 3
    assert own.notes[2].startswith("step_128 is left out: one image is 1,") and "--quick" in own.notes[2]
    assert own.field[1] < 128 and own.render[1] < 128 and own.field[0] == own.render[0] == 1
    full = own_subject(presets.params("celeba-paper"), CPU, quick=False)
    assert full.steps == {32: 1, 64: 1} and [note.split()[0] for note in full.notes] == ["step_128"]


def test_demo_is_measured_whole():
    demo = own_subject(presets.params("demo"), CPU, quick=True)
    assert list(demo.steps) == [16, 32] and min(demo.steps.values()) >= 4 and not demo.notes


def test_what_the_reference_does_not_have_is_left_out_and_told():
    own = own_subject(presets.params("seed-card"), CPU, quick=True)
    assert own.params.training.reconstruction_weight == 0 and "without the reconstruction loss" in own.notes[0]


def test_processor_without_16_bits_has_the_exact_paths_and_says_why(monkeypatch):
    had(monkeypatch, bf16="no bf16 here")
    ways, notes = ways_of(presets.params("celeba"), CPU, quick=False)
    assert ways == [Way("folded", "fp32"), Way("compiled", "fp32")]
    told = " ".join(notes)
    assert "No bf16 rows: no bf16 here." in told and "No fp16 rows" in told and "No triton rows" in told


def test_processor_with_16_bits_has_them_too(monkeypatch):
    had(monkeypatch)
    ways, _ = ways_of(presets.params("celeba"), CPU, quick=False)
    assert [way.name for way in ways] == ["folded fp32", "folded bf16", "compiled fp32", "compiled bf16"]


def test_quick_takes_the_exact_path_and_the_chosen_one(tiny_params):
    assert ways_of(tiny_params, CPU, quick=True)[0] == [Way("folded", "fp32")]
    compiled = with_way(tiny_params, Way("compiled", "fp32"))
    assert ways_of(compiled, CPU, quick=True)[0] == [Way("folded", "fp32"), Way("compiled", "fp32")]


def test_chosen_path_is_that_of_the_params(tiny_params):
    assert chosen_way(tiny_params, CPU) == Way("folded", "fp32")
    for way in (Way("plain", "fp32"), Way("compiled", "bf16")):
        assert chosen_way(with_way(tiny_params, way), CPU) == way
    with pytest.raises(PiganError, match="GPU"):
        chosen_way(with_way(tiny_params, Way("triton", "fp32")), CPU)


def test_steps_are_in_the_middle_of_training(tiny_params):
    values = usual_values(tiny_params, 16)
    assert (values.fade, values.topk) == (1.0, 1.0) and values.density_noise > 0 and values.lr_generator > 0
