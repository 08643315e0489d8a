from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from pigan import config
from pigan.models.generator import Generator
from pigan.rendering.render import Field

Centre = tuple[float, float, float]


@pytest.fixture(scope="session")
def generator(tiny_params: config.Params) -> Generator:
    """A tiny network with random weights, dense enough that some rays are opaque and some are not."""
    torch.manual_seed(3)
    model = Generator(tiny_params.model)
    with torch.no_grad():
        model.field.density_head.weight.mul_(60)
    return model.eval()


@pytest.fixture
def show_ball(monkeypatch: pytest.MonkeyPatch) -> Callable[[Centre, float], None]:
    """Puts an opaque red ball (centre, radius) in the place of whatever a generator describes."""

    def show(centre: Centre, radius: float) -> None:
        def field_of(*_: object) -> Field:
            def field(points: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
                inside = (points - torch.tensor(centre)).norm(dim=-1) < radius
                return torch.tensor((1.0, 0.0, 0.0)).expand_as(points), torch.where(inside, 1e6, 0.0)

            return field

        monkeypatch.setattr("pigan.synthesis.views.field_of", field_of)

    return show
