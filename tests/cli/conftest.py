import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pigan import cli, config
from pigan.models.generator import Generator
from pigan.synthesis.trained import TrainedModel

Said = tuple[int, str, str]


@pytest.fixture
def on_a_model(
    tiny_params: config.Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Said]:
    """Runs a command on a small model with a surface, in an empty folder: exit code, stdout, stderr."""
    torch.manual_seed(3)
    generator = Generator(tiny_params.model).eval().requires_grad_(False)
    generator.field.density_head.weight.mul_(60)

    def load_model(name: str, device: torch.device) -> TrainedModel:
        return TrainedModel(generator.to(device), tiny_params, tmp_path / name)

    monkeypatch.setattr("pigan.synthesis.trained.load_model", load_model)
    monkeypatch.setenv("PIGAN_DEBUG", "")
    monkeypatch.chdir(tmp_path)

    def run(command: str, *options: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["pigan", command, "--model", "baseline", "--device", "cpu", *options])
        with pytest.raises(SystemExit) as left:
            cli.main()
        torch.use_deterministic_algorithms(False)
        return (int(left.value.code or 0), *capsys.readouterr())

    return run
