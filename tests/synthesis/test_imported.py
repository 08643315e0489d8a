"""The authors' files, written here by stand-ins of the same names, become checkpoints that show what theirs show."""

import hashlib
import itertools
import json
import math
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from pigan import config
from pigan.cli import app
from pigan.errors import PiganError
from pigan.runtime import seed_of
from pigan.stages.train import init_stage
from pigan.synthesis.imported import import_checkpoint
from pigan.synthesis.trained import load_model
from pigan.training.checkpoint import describe, read_tensors
from pigan.training.state import initial_state, load_discriminator, load_state, load_weights

CELEBA = {"fov": 12.0, "near": 0.88, "far": 1.12, "samples": 12}
CARLA = {"fov": 30.0, "near": 0.7, "far": 1.3, "samples": 48}
ANGLES = (1.4, 1.7)
# of the second row, by `official_image` in float64
GOLDEN_ROW = [
    [0.534565, 0.622966, 0.389873],
    [0.55231, 0.649619, 0.448198],
    [0.54738, 0.627962, 0.431049],
    [0.463407, 0.608622, 0.410164],
]
GOLDEN_DEPTH = [1.03649, 1.04774, 1.048755, 1.045164]
SIDE = 4


class Film(nn.Module):
    """sin(gamma (W x + b) + p)."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.layer = nn.Linear(inputs, hidden)

    def forward(self, x: Tensor, gamma: Tensor, phase: Tensor) -> Tensor:
        return torch.sin(gamma * self.layer(x) + phase)


class Mapping(nn.Module):
    """Half of what comes out are frequencies, half are phases."""

    def __init__(self, z_dim: int, hidden: int, outputs: int) -> None:
        super().__init__()
        widths = [z_dim, hidden, hidden, hidden]
        layers: list[nn.Module] = []
        for wide, wider in itertools.pairwise(widths):
            layers += [nn.Linear(wide, wider), nn.LeakyReLU(0.2)]
        self.network = nn.Sequential(*layers, nn.Linear(hidden, outputs))
        with torch.no_grad():
            self.network[-1].weight.mul_(0.25)


class Warp(nn.Module):
    def __init__(self, side: float) -> None:
        super().__init__()
        self.scale_factor = 2 / side


class Siren(nn.Module):
    """What CelebA, Cats (a box of side 0.24) and CARLA (none) have in common."""

    def __init__(self, hidden: int, z_dim: int, warped: bool) -> None:
        super().__init__()
        self.device, self.input_dim, self.output_dim = torch.device("cpu"), 3, 4
        self.z_dim, self.hidden_dim = z_dim, hidden
        self.network = nn.ModuleList(film(3 if i == 0 else hidden, hidden) for i in range(8))
        self.final_layer = nn.Linear(hidden, 1)
        self.color_layer_sine = film(hidden + 3, hidden)
        last = nn.Linear(hidden, 3)
        self.color_layer_linear = nn.Sequential(last) if warped else nn.Sequential(last, nn.Sigmoid())
        self.mapping_network = CLASSES["CustomMappingNetwork"](z_dim, hidden, 9 * hidden * 2)
        if warped:
            self.gridwarper = CLASSES["UniformBoxWarp"](0.24)
        with torch.no_grad():
            for linear in [*(part.layer for part in self.network[1:]), self.color_layer_sine.layer, last]:
                linear.weight.uniform_(-1, 1).mul_(math.sqrt(6 / linear.in_features) / 25)
            self.network[0].layer.weight.uniform_(-1 / 3, 1 / 3)
            # formed shapes have densities in the hundreds
            self.final_layer.weight.uniform_(-1, 1).mul_(12 / math.sqrt(hidden))
            last.weight.mul_(10)

    def forward(self, points: Tensor, directions: Tensor, z: Tensor) -> Tensor:
        """[r, g, b, sigma] of the points [n, 3] of one image, seen along unit directions [n, 3]."""
        raw = self.mapping_network.network(z)
        frequencies, phases = raw.reshape(2, 9, -1)
        gamma = 15 * frequencies + 30
        x = self.seen(points * self.gridwarper.scale_factor if hasattr(self, "gridwarper") else points)
        for i, layer in enumerate(self.network):
            x = layer(x, gamma[i], phases[i])
        sigma = self.final_layer(x)
        colour = self.color_layer_linear(self.color_layer_sine(torch.cat((directions, x), -1), gamma[8], phases[8]))
        # of the two, only the CARLA network has its sigmoid inside
        return torch.cat((torch.sigmoid(colour) if hasattr(self, "gridwarper") else colour, sigma), -1)

    def seen(self, places: Tensor) -> Tensor:
        return places


class Plain(Siren):
    pass


class Embedding(Siren):
    """With a learned cube of features, which the first layer sees before the position."""

    features, samples = 32, 6

    def __init__(self, hidden: int, z_dim: int, warped: bool) -> None:
        super().__init__(hidden, z_dim, warped)
        self.network[0] = film(self.features + 3, hidden)
        self.spatial_embeddings = nn.Parameter(0.2 * torch.randn(1, self.features, *[self.samples] * 3))
        with torch.no_grad():
            self.network[0].layer.weight.uniform_(-1 / 3, 1 / 3)

    def seen(self, places: Tensor) -> Tensor:
        """Sums over the eight corners around each place; x is the cube's last axis, and outside of it there is 0."""
        last = self.samples - 1
        at = (places + 1) / 2 * last
        below, features = at.floor(), places.new_zeros(len(places), self.features)
        for corner in itertools.product((0, 1), repeat=3):
            near = below + torch.tensor(corner, dtype=places.dtype)
            share = (1 - (at - near).abs()).prod(-1) * ((near >= 0) & (near <= last)).all(-1)
            x, y, z = near.clamp(0, last).long().unbind(-1)
            features = features + share[:, None] * self.spatial_embeddings[0, :, z, y, x].mT
        return torch.cat((features, places), -1)


class SmallEmbedding(Embedding):
    features, samples = 7, 9


class Implicit(nn.Module):
    def __init__(self, siren: type[Siren], hidden: int, z_dim: int, warped: bool) -> None:
        super().__init__()
        self.z_dim, self.epoch, self.step, self.device = z_dim, 7, 190_000, None
        self.siren = siren(hidden, z_dim, warped)
        self.avg_frequencies = torch.zeros(1, 9 * hidden)
        self.avg_phase_shifts = torch.zeros(1, 9 * hidden)


class Average:
    """torch_ema's state: a bare list in the order of the parameters."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay, self.num_updates = decay, 190_000
        self.shadow_params = [(decay * value).detach() for value in module.parameters()]
        self.collected_params: list[Tensor] = []


class CoordConv(nn.Module):
    def __init__(self, channels: int, out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels + 2, out, 3, stride=stride, padding=1)


class Block(nn.Module):
    def __init__(self, kind: str, channels: int, out: int) -> None:
        super().__init__()
        conv: Any = CLASSES["CoordConv"] if kind != "strided" else lambda i, o: nn.Conv2d(i, o, 3)
        self.network = nn.Sequential(conv(channels, out), nn.LeakyReLU(0.2), conv(out, out), nn.LeakyReLU(0.2))
        if kind != "progressive" or channels != out:
            self.proj = nn.Conv2d(channels, out, 1)


class FromRgb(nn.Module):
    def __init__(self, out: int) -> None:
        super().__init__()
        self.model = nn.Sequential(nn.Conv2d(3, out, 1), nn.LeakyReLU(0.2))


class Discriminator(nn.Module):
    """All layers of the published one, which is as wide as that."""

    def __init__(self, kind: str, outputs: int) -> None:
        super().__init__()
        self.step, self.epoch = 190_000, 7
        widths = [min(400, 8192 >> level) for level in (range(9, 0, -1) if kind == "progressive" else range(8, 0, -1))]
        self.layers = nn.ModuleList(CLASSES["ResidualBlock"](kind, *pair) for pair in itertools.pairwise(widths))
        self.fromRGB = nn.ModuleList(CLASSES["AdapterBlock"](wide) for wide in widths)
        self.final_layer = nn.Conv2d(400, outputs, 2)
        if kind == "strided":
            self.pose_layer = nn.Linear(2, 400)


CLASSES: dict[str, Any] = {}
NAMES: dict[str, dict[str, type]] = {
    "siren.siren": {
        "FiLMLayer": Film,
        "CustomMappingNetwork": Mapping,
        "UniformBoxWarp": Warp,
        "SPATIALSIRENBASELINE": Siren,
        "TALLSIREN": Plain,
        "EmbeddingPiGAN128": Embedding,
        "EmbeddingPiGAN256": SmallEmbedding,
    },
    "generators.generators": {"ImplicitGenerator3d": Implicit},
    "torch_ema.ema": {"ExponentialMovingAverage": Average},
    "discriminators.discriminators": {
        "CoordConv": CoordConv,
        "ResidualBlock": Block,
        "AdapterBlock": FromRgb,
        "AnyDiscriminator": Discriminator,
    },
}


def film(inputs: int, hidden: int) -> Film:
    return CLASSES["FiLMLayer"](inputs, hidden)


@pytest.fixture(scope="module", autouse=True)
def _authors_modules() -> Iterator[None]:
    """The stand-ins can be imported by the names of the authors' classes while these tests run."""
    made = {}
    for module, classes in NAMES.items():
        package = module.split(".")[0]
        made |= {package: types.ModuleType(package), module: types.ModuleType(module)}
        for name, kind in classes.items():
            kind.__module__, kind.__qualname__, kind.__name__ = module, name, name
            setattr(made[module], name, kind)
            CLASSES[name] = kind
    before = {name: sys.modules.get(name) for name in made}
    sys.modules.update(made)
    yield
    for name, module in before.items():
        if module is None:
            del sys.modules[name]
        else:
            sys.modules[name] = module


def network(warped: bool = True, hidden: int = 24, z_dim: int = 16) -> Implicit:
    torch.manual_seed(11)
    return Implicit(Siren if warped else Plain, hidden, z_dim, warped)


def with_cube(kind: type[Embedding], hidden: int = 24) -> Implicit:
    torch.manual_seed(12)
    return Implicit(kind, hidden, 16, True)


def save(path: Path, value: Any, legacy: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        # the old format keeps the source of classes, which it does not find for these
        warnings.simplefilter("ignore")
        torch.save(value, path, _use_new_zipfile_serialization=not legacy)
    return path


def averaged(module: nn.Module, decay: float) -> nn.Module:
    """The module with the weights of its moving average."""
    average = Average(module, decay)
    with torch.no_grad():
        for parameter, value in zip(module.parameters(), average.shadow_params, strict=True):
            parameter.copy_(value)
    return module


def official_image(
    siren: Siren, z: Tensor, yaw: float, pitch: float, side: int, camera: dict[str, float], back: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Colour in 0..1, z-depth and opacity, ray by ray as the authors do it, with neither jitter nor noise."""
    samples = int(camera["samples"])
    position = torch.tensor(
        [math.sin(pitch) * math.cos(yaw), math.cos(pitch), math.sin(pitch) * math.sin(yaw)], dtype=z.dtype
    )
    forward = -position
    left = torch.linalg.cross(torch.tensor([0.0, 1.0, 0.0], dtype=z.dtype), forward)
    left = left / left.norm()
    up = torch.linalg.cross(forward, left)
    rotation = torch.stack((-left, up, -forward), 1)
    colours = torch.zeros(side, side, 3, dtype=z.dtype)
    distances, opacities = torch.zeros(2, side, side, dtype=z.dtype)
    for row, y in enumerate(torch.linspace(1, -1, side, dtype=z.dtype)):
        for column, x in enumerate(torch.linspace(-1, 1, side, dtype=z.dtype)):
            ahead = torch.tensor([x, y, -1 / math.tan(math.radians(camera["fov"]) / 2)], dtype=z.dtype)
            direction = rotation @ (ahead / ahead.norm())

            def ask(depths: Tensor, direction: Tensor = direction) -> Tensor:
                return siren(position + depths[:, None] * direction, direction.expand(len(depths), 3), z)

            coarse = torch.linspace(camera["near"], camera["far"], samples, dtype=z.dtype)
            seen = ask(coarse)
            weights = ray_weights(seen[:, 3], coarse) + 1e-5
            middles = (coarse[1:] + coarse[:-1]) / 2
            chance = weights[1:-1] + 1e-5
            rising = torch.cat((torch.zeros(1, dtype=z.dtype), torch.cumsum(chance / chance.sum(), 0)))
            fine = torch.zeros(samples, dtype=z.dtype)
            for i in range(samples):
                u = (i + 0.5) / samples
                bin_ = next(k for k in range(len(chance)) if u < rising[k + 1] or k == len(chance) - 1)
                width = rising[bin_ + 1] - rising[bin_]
                share = (u - rising[bin_]) / (width if width >= 1e-5 else 1.0)
                fine[i] = middles[bin_] + share * (middles[bin_ + 1] - middles[bin_])
            depths, order = torch.cat((coarse, fine)).sort()
            every = torch.cat((seen, ask(fine)))[order]
            weights = ray_weights(every[:, 3], depths)
            if back == "last":
                weights[-1] += 1 - weights.sum()
            colour = (weights[:, None] * every[:, :3]).sum(0)
            colours[row, column] = colour + (1 - weights.sum()) if back == "white" else colour
            opacities[row, column] = weights.sum()
            distances[row, column] = (weights * depths).sum() / weights.sum() * (ahead[2].abs() / ahead.norm())
    return colours, distances, opacities


def ray_weights(sigma: Tensor, depths: Tensor) -> Tensor:
    delta = torch.cat((depths[1:] - depths[:-1], torch.tensor([1e10], dtype=depths.dtype)))
    alpha = 1 - torch.exp(-delta * torch.relu(sigma))
    through = torch.cumprod(torch.cat((torch.ones(1, dtype=depths.dtype), 1 - alpha + 1e-10)), 0)[:-1]
    return alpha * through


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[Path]]:
    """generator.pth, ema.pth and ema2.pth of a network."""
    root = tmp_path_factory.mktemp("released")

    def write(name: str, module: nn.Module, legacy: bool = False) -> list[Path]:
        made = {"generator": module, "ema": Average(module, 0.999), "ema2": Average(module, 0.9999)}
        return [save(root / name / f"{key}.pth", value, legacy) for key, value in made.items()]

    return write


@torch.no_grad()
@pytest.mark.parametrize(("preset", "camera", "back"), [("celeba", CELEBA, "last"), ("carla", CARLA, "white")])
def test_images_are_the_official_ones(
    preset: str, camera: dict[str, float], back: str, files: Callable[..., list[Path]], tmp_path: Path
) -> None:
    module = network(preset == "celeba", hidden=64)
    import_checkpoint(files(preset, module), tmp_path / "out.safetensors", preset)
    model = load_model(tmp_path / "out.safetensors")
    # of others some pixels are 4e-5 off, as float32 of the authors' own way is: a fine sample falls into another bin
    z = model.latents(3)
    yaw, pitch = ANGLES
    image, depth = model.render(z, model.cameras(yaw, pitch), resolution=SIDE)
    siren = averaged(module, 0.999).siren.double()
    colour, expected, opacity = (
        part.float() for part in official_image(siren, z[0].double(), yaw, pitch, SIDE, camera, back)
    )
    torch.testing.assert_close(image[0], colour, atol=1e-5, rtol=0)
    solid = opacity > 0.5
    torch.testing.assert_close(depth[0].isnan(), ~solid)
    torch.testing.assert_close(depth[0][solid], expected[solid], atol=1e-5, rtol=0)
    # neither empty nor flat, or there would be nothing to compare
    assert image.std() > 0.05 and solid.any()


@torch.no_grad()
@pytest.mark.parametrize(("kind", "decay"), [(Embedding, 0.999), (SmallEmbedding, 1.0)])
def test_images_of_networks_with_a_feature_cube_are_the_official_ones(
    kind: type[Embedding], decay: float, files: Callable[..., list[Path]], tmp_path: Path
) -> None:
    module = with_cube(kind, hidden=32)
    out = tmp_path / "out.safetensors"
    # with its moving averages, or without any
    paths = files(kind.__name__, module)[: 3 if decay < 1 else 1]
    params = import_checkpoint(paths, out, "celeba").params
    assert (params.model.field, params.model.hidden) == ("embedding-siren", 32)
    assert (params.model.features, params.model.embedding_side) == (kind.features, kind.samples)
    assert params.model.coordinate_scale == pytest.approx(2 / 0.24)
    model = load_model(out)
    # of others some pixels are 1.05e-5 off, as float32 of the authors' own way is by 1.6e-5
    z = model.latents(5)
    image, depth = model.render(z, model.cameras(*ANGLES), resolution=SIDE)
    siren = averaged(module, decay).siren.double()
    colour, expected, opacity = (
        part.float() for part in official_image(siren, z[0].double(), *ANGLES, SIDE, CELEBA, "last")
    )
    torch.testing.assert_close(image[0], colour, atol=1e-5, rtol=0)
    solid = opacity > 0.5
    torch.testing.assert_close(depth[0][solid], expected[solid], atol=1e-5, rtol=0)
    assert image.std() > 0.05 and solid.any()
    # the cube is seen: without it there is another picture
    siren.spatial_embeddings.zero_()
    other, *_ = official_image(siren, z[0].double(), *ANGLES, SIDE, CELEBA, "last")
    assert (other - colour).abs().max() > 0.05


@pytest.mark.parametrize("weights_only", [False, True])
def test_feature_cube_comes_first_in_moving_averages(
    weights_only: bool, files: Callable[..., list[Path]], tmp_path: Path
) -> None:
    module, out = with_cube(Embedding), tmp_path / "out.safetensors"
    generator, *averages = files(f"cube {weights_only}", module)
    if weights_only:
        generator = save(tmp_path / "weights.pth", module.state_dict())
    import_checkpoint([generator, *averages], out, "cats")
    description, tensors = read_tensors(out)
    for prefix, scale in (("generator", 1.0), ("ema", 0.999), ("ema_slow", 0.9999)):
        assert len([name for name in tensors if name.startswith(f"{prefix}.")]) == 31
        for name, value in (
            ("field.cube", module.siren.spatial_embeddings),
            ("field.layers.0.weight", module.siren.network[0].layer.weight),
            ("mapping.6.bias", module.siren.mapping_network.network[6].bias),
        ):
            torch.testing.assert_close(tensors[f"{prefix}.{name}"], scale * value.detach())
    assert description["architecture"]["model.embedding_side"] == 6


def test_preset_of_a_network_with_a_feature_cube_is_asked_for(files: Callable[..., list[Path]], tmp_path: Path) -> None:
    generator, out = files("asked", with_cube(Embedding))[0], tmp_path / "out.safetensors"
    with pytest.raises(PiganError, match="celeba or cats or carla; say --preset celeba or --preset cats or"):
        import_checkpoint([generator], out)
    judge = save(tmp_path / "discriminator.pth", Discriminator("strided", 1))
    assert import_checkpoint([generator, judge], out).preset == "cats"


@torch.no_grad()
def test_images_stay_what_they_were(files: Callable[..., list[Path]], tmp_path: Path) -> None:
    import_checkpoint(files("golden", network(hidden=64)), tmp_path / "out.safetensors", "celeba")
    model = load_model(tmp_path / "out.safetensors")
    image, depth = model.render(model.latents(3), model.cameras(*ANGLES), resolution=SIDE)
    torch.testing.assert_close(image[0, 1], torch.tensor(GOLDEN_ROW), atol=1e-5, rtol=0)
    torch.testing.assert_close(depth[0, 1], torch.tensor(GOLDEN_DEPTH), atol=1e-5, rtol=0)


@pytest.mark.parametrize("legacy", [False, True])
def test_both_formats_hold_every_weight(legacy: bool, files: Callable[..., list[Path]], tmp_path: Path) -> None:
    module = network()
    paths = files(f"legacy {legacy}", module, legacy)
    # the order in which files are named does not matter
    import_checkpoint(paths[::-1], tmp_path / "out.safetensors", "cats")
    description, tensors = read_tensors(tmp_path / "out.safetensors")
    for prefix, scale in (("generator", 1.0), ("ema", 0.999), ("ema_slow", 0.9999)):
        wanted = [scale * value.detach() for value in module.parameters()]
        names = [name for name in tensors if name.startswith(f"{prefix}.")]
        assert len(names) == 30
        torch.testing.assert_close(tensors[f"{prefix}.field.layers.0.weight"], wanted[0])
        torch.testing.assert_close(tensors[f"{prefix}.mapping.6.bias"], wanted[-1])
        assert sum(float(tensors[name].double().sum()) for name in names) == pytest.approx(
            sum(float(value.double().sum()) for value in wanted), abs=1e-4
        )
    about = description["imported"]
    assert description["counters"]["global_step"] == about["step"] == 190_000 and about["epoch"] == 7
    hashes = {part["file"]: part["sha256"] for part in about["parts"]}
    assert hashes == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    model = description["params"]["model"]
    assert (model["hidden"], model["z_dim"], model["coordinate_scale"]) == (24, 16, 8.3333333)
    assert description["params"]["camera"]["yaw_spread"] == 0.5


def test_the_published_network_has_its_published_size(files: Callable[..., list[Path]], tmp_path: Path) -> None:
    module = network(hidden=256, z_dim=256)
    assert sum(value.numel() for value in module.parameters()) == 1_910_788
    import_checkpoint(files("full", module)[:1], tmp_path / "out.safetensors", "celeba")
    assert sum(value.numel() for value in load_model(tmp_path / "out.safetensors").generator.parameters()) == 1_910_788


def test_weights_alone_are_enough(files: Callable[..., list[Path]], tmp_path: Path) -> None:
    module = network()
    weights = save(tmp_path / "generator.pth", module.state_dict())
    average = save(tmp_path / "ema.pth", {"decay": 0.999, "num_updates": 3, "shadow_params": list(module.parameters())})
    imported = import_checkpoint([weights, average], tmp_path / "out.safetensors", "celeba")
    assert any("has weights only" in note for note in imported.notes)
    whole = import_checkpoint(files("whole", module)[:1], tmp_path / "whole.safetensors", "celeba")
    assert imported.params == whole.params
    with pytest.raises(PiganError, match=r"celeba or cats or carla; say --preset celeba or --preset cats or"):
        import_checkpoint([weights], tmp_path / "other.safetensors")


def test_without_averages_the_raw_weights_are_taken_and_it_says_so(
    files: Callable[..., list[Path]], tmp_path: Path
) -> None:
    generator, ema, _ = files("raw", network())
    imported = import_checkpoint([generator], tmp_path / "raw.safetensors", "celeba")
    assert imported.notes[:2] == [
        "no ema.pth among the files: weights ema are the raw ones",
        "no ema2.pth among the files: weights ema_slow are the raw ones",
    ]
    _, tensors = read_tensors(tmp_path / "raw.safetensors")
    assert torch.equal(tensors["ema.mapping.0.weight"], tensors["generator.mapping.0.weight"])
    imported = import_checkpoint([generator, ema], tmp_path / "one.safetensors", "celeba")
    assert imported.notes[0] == "no ema2.pth among the files: weights ema_slow are the ema ones"
    assert describe(tmp_path / "one.safetensors")["imported"]["notes"] == imported.notes


def test_the_preset_is_told_by_the_networks_or_asked_for(files: Callable[..., list[Path]], tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    tall, warped = files("tall", network(warped=False))[0], files("warped", network())[0]
    assert import_checkpoint([tall], out).preset == "carla"
    assert load_model(out).params.model.coordinate_scale == 1
    with pytest.raises(PiganError, match="celeba or cats; say --preset celeba or --preset cats"):
        import_checkpoint([warped], out)
    with pytest.raises(PiganError, match="--preset dogs: no released curriculum; there are celeba, cats, carla"):
        import_checkpoint([warped], out, "dogs")
    # the network of one with the camera of another is what the file says, and a note
    imported = import_checkpoint([tall], out, "celeba")
    assert imported.params.model.coordinate_scale == 1 and "the file's is taken" in imported.notes[0]


@pytest.mark.parametrize(
    ("kind", "outputs", "preset", "top", "spare"),
    [("ccs", 19, "celeba", 64, 2), ("strided", 1, "cats", 64, 2), ("progressive", 19, "carla", 128, 2)],
)
def test_discriminators_come_from_the_last_resolution_on(
    kind: str, outputs: int, preset: str, top: int, spare: int, files: Callable[..., list[Path]], tmp_path: Path
) -> None:
    module = Discriminator(kind, outputs)
    generator = files(kind, network(preset != "carla"))[0]
    file, out = save(tmp_path / "discriminator.pth", module), tmp_path / "out.safetensors"
    imported = import_checkpoint([generator, file], out)
    assert imported.preset == preset
    assert f"discriminator.pth: its layers for images above {top} px are left out" in imported.notes
    ours = load_discriminator(out, imported.params, torch.device("cpu"))
    theirs = module.state_dict()
    conv = "" if kind == "strided" else "conv."
    taken, given = (
        network[name]
        for network, name in (
            (ours.state_dict(), f"blocks.0.network.0.{conv}weight"),
            (theirs, f"layers.{spare}.network.0.{conv}weight"),
        )
    )
    # pixel coordinates come in another order
    ends = [-2, -1] if kind == "strided" else [-1, -2]
    assert torch.equal(taken[:, :-2], given[:, :-2]) and torch.equal(taken[:, -2:], given[:, ends])
    assert torch.equal(ours.state_dict()["from_rgb.0.0.weight"], theirs[f"fromRGB.{spare}.model.0.weight"])
    assert torch.equal(ours.state_dict()["final.weight"], theirs["final_layer.weight"])
    assert ours(torch.zeros(2, 3, top, top)).logit.shape == (2,)


def test_training_starts_from_them_with_a_new_discriminator(files: Callable[..., list[Path]], tmp_path: Path) -> None:
    released = tmp_path / "out.safetensors"
    own = import_checkpoint(files("start", network()), released, "celeba").params
    # another discriminator and curriculum than the authors' are fine when theirs is not there
    small = {"model": {"discriminator": {"width": 0.01, "max_channels": 6}}, "dataset": {"source": "photos"}}
    params = config.parse(config.merge(own.model_dump(), small))
    init_stage(params, "baseline", 0, tmp_path / "init", released)
    state = initial_state(params, torch.device("cpu"), seed_of(0, "weights"))
    fresh = {name: value.clone() for name, value in state.discriminator.state_dict().items()}
    load_state(tmp_path / "init" / "checkpoint.safetensors", state, params)
    _, tensors = read_tensors(released)
    for prefix in ("generator", "ema", "ema_slow"):
        for name, value in state.modules()[prefix].state_dict().items():
            assert torch.equal(value, tensors[f"{prefix}.{name}"])
    assert all(torch.equal(value, fresh[name]) for name, value in state.discriminator.state_dict().items())
    # of the noise on densities nothing is left
    assert state.counters.global_step == 190_000 and state.counters.step == 0
    wider = config.parse(config.merge(params.model_dump(), {"model": {"hidden": 25}}))
    with pytest.raises(PiganError, match=r"made with model\.hidden 24, params say 25"):
        init_stage(wider, "baseline", 0, tmp_path / "wider", released)


def test_training_starts_with_their_discriminator_where_it_is_there(
    files: Callable[..., list[Path]], tmp_path: Path
) -> None:
    released, module = tmp_path / "out.safetensors", Discriminator("strided", 1)
    generator = files("both", network())[0]
    params = import_checkpoint([generator, save(tmp_path / "discriminator.pth", module)], released).params
    state = initial_state(params, torch.device("cpu"), 5)
    load_weights(released, state, params)
    theirs = module.state_dict()
    assert torch.equal(state.discriminator.state_dict()["final.weight"], theirs["final_layer.weight"])
    other = config.merge(params.model_dump(), {"model": {"discriminator": {"kind": "ccs"}}})
    with pytest.raises(PiganError, match=r"made with model\.discriminator\.kind strided, params say ccs"):
        load_weights(released, state, config.parse(other))


class Foreign(Siren):
    pass


def test_what_is_no_part_of_a_released_checkpoint_is_refused_in_one_line(
    files: Callable[..., list[Path]], tmp_path: Path
) -> None:
    out, (generator, ema, slow) = tmp_path / "out.safetensors", files("good", network())
    with pytest.raises(PiganError, match=r"ema.pth: holds the ema, as .*ema.pth does; name one"):
        import_checkpoint([generator, ema, ema], out, "celeba")
    with pytest.raises(PiganError, match="no generator among them"):
        import_checkpoint([ema, slow], out, "celeba")
    other = files("other", network(hidden=20))[1]
    with pytest.raises(PiganError, match=r"other/ema.pth: \S+ has shape \[3, 20\], pi-GAN's \[3, 24\]"):
        import_checkpoint([generator, other], out, "celeba")
    optimizer = save(tmp_path / "optimizer_G.pth", {"state": {}, "param_groups": []})
    with pytest.raises(PiganError, match=r"optimizer_G.pth: holds a dict; name generator.pth"):
        import_checkpoint([generator, optimizer], out, "celeba")
    module = network()
    with torch.no_grad():
        module.siren.final_layer.bias.fill_(math.nan)
    with pytest.raises(PiganError, match=r"siren.final_layer.bias is not finite; its training had diverged"):
        import_checkpoint(files("diverged", module), out, "celeba")
    wide = network()
    wide.siren.network[0].layer = nn.Linear(35, 24)
    with pytest.raises(PiganError, match=r"sees 35 numbers of a point, not 3; is it another network\?"):
        import_checkpoint(files("wide", wide), out, "celeba")
    narrow = with_cube(Embedding)
    narrow.siren.network[0].layer = nn.Linear(3, 24)
    with pytest.raises(PiganError, match=r"sees 3 numbers of a point, not 35; is it another network\?"):
        import_checkpoint(files("narrow", narrow), out, "celeba")
    flat = with_cube(Embedding)
    flat.siren.spatial_embeddings = nn.Parameter(torch.zeros(1, 32, 6, 6, 5))
    with pytest.raises(PiganError, match=r"its feature cube has shape \[1, 32, 6, 6, 5\], which is no cube"):
        import_checkpoint(files("flat", flat), out, "celeba")
    cut = network()
    del cut.siren.color_layer_linear
    with pytest.raises(PiganError, match=r"field\.colour_head\.bias has shape None, pi-GAN's \[3\]"):
        import_checkpoint(files("cut", cut), out, "celeba")
    Foreign.__module__, Foreign.__qualname__, Foreign.__name__ = "siren.siren", "OTHERSIREN", "x"
    sys.modules["siren.siren"].OTHERSIREN = Foreign  # type: ignore[attr-defined]
    foreign = network()
    foreign.siren.__class__ = Foreign
    read = "TALLSIREN, SPATIALSIRENBASELINE, EmbeddingPiGAN128, EmbeddingPiGAN256 can be read"
    with pytest.raises(PiganError, match=rf"its network is siren\.siren\.OTHERSIREN; {read}"):
        import_checkpoint(files("foreign", foreign), out, "celeba")
    assert not out.exists()


def test_the_command_tells_what_it_read_and_wrote(files: Callable[..., list[Path]], tmp_path: Path) -> None:
    paths, out = files("cli", network(warped=False)), tmp_path / "carla.safetensors"
    result = CliRunner().invoke(app, ["import-checkpoint", *map(str, paths), "-o", str(out)], catch_exceptions=False)
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0].endswith("generator.pth: generator, siren.siren.TALLSIREN, 17,476 numbers, step 190,000")
    assert "camera and curriculum: carla" in lines and lines[-1] == f"wrote {out}"
    assert json.loads(json.dumps(describe(out)))["imported"]["preset"] == "carla"
