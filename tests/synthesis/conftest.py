from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from pigan import config
from pigan.data.crop import crop
from pigan.data.sources.download import download
from pigan.data.store import Prepared
from pigan.kernels.choose import field_of
from pigan.models.generator import Generator
from pigan.rendering.render import Field

Centre = tuple[float, float, float]
FITTING_STEPS = 200


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


@pytest.fixture(scope="session")
def ball_params(tiny_params: config.Params) -> config.Params:
    """A model large enough to show balls, and an inversion long enough to find them."""
    changes = {
        "model": {"hidden": 32, "mapping_hidden": 16, "samples": 12, "coordinate_scale": 0.5},
        "generate": {"truncation_latents": 200, "inversion": {"steps": 150, "rays": 256, "lr": 0.01}},
    }
    return config.parse(config.merge(tiny_params.model_dump(), changes))


@pytest.fixture(scope="session")
def balls(ball_params: config.Params) -> Generator:
    """A FiLM-SIREN that was fitted to solid balls: the latent says where they are, how large, and of which colour."""
    torch.manual_seed(3)
    generator, random = Generator(ball_params.model), torch.Generator().manual_seed(0)
    with torch.no_grad():
        # small as they begin, they would need many more steps
        generator.field.density_head.weight.mul_(300)
        generator.field.colour_head.weight.mul_(10)
    adam = torch.optim.Adam(generator.parameters(), lr=2e-3)
    for _ in range(FITTING_STEPS):
        z = torch.randn((16, 4), generator=random)
        points = 0.6 * (torch.rand((16, 256, 3), generator=random) - 0.5)
        centre, radius = 0.04 * z[:, None, :3].tanh(), 0.13 + 0.03 * z[:, None, 3].tanh()
        inside = 10 * (radius - (points - centre).norm(dim=-1))
        paint = (0.5 + 3 * points + 0.2 * z[:, None, :3].tanh()).clamp(0, 1)
        colour, density = field_of(generator, generator.mapping(z))(points, torch.zeros_like(points))
        loss = (density / 30 - inside).square().mean() + (colour - paint).square().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    return generator.requires_grad_(False)


@pytest.fixture(scope="session")
def prepared(tiny_params: config.Params, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """The tiny cars, with depth, cameras and held-out views."""
    folder = tmp_path_factory.mktemp("prepared")
    download(tiny_params, folder / "raw")
    crop(tiny_params, folder / "raw", folder / "cars")
    return Prepared(folder / "cars")


@pytest.fixture
def without(prepared: Prepared) -> Callable[..., Prepared]:
    """The prepared cars without their cameras, depth or held-out images."""

    def less(*what: str) -> Prepared:
        poorer = Prepared(prepared.path)
        if "cameras" in what:
            poorer.__dict__["cameras"] = None
        if "depth" in what:
            poorer.info["sha256"] = {k: v for k, v in poorer.info["sha256"].items() if not k.startswith("depth")}
        if "held out" in what:
            poorer.held_out = np.empty(0, np.int64)
        return poorer

    return less
