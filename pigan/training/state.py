"""Everything that training changes, and how it is written to and read from one safetensors file."""

import copy
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from pigan.config import Params
from pigan.errors import PiganError
from pigan.files import atomic_file
from pigan.kernels.choose import choose_dtype
from pigan.models.discriminator import Discriminator
from pigan.models.generator import Generator

FORMAT = 1
ADAM_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


@dataclass
class Counters:
    """How far training is; everything here is the same for the same params and seed."""

    global_step: int = 0
    step: int = 0
    images_seen: int = 0


@dataclass
class TrainingState:
    """Networks, moving averages, optimisers, gradient scaler, counters."""

    generator: Generator
    ema: Generator
    ema_slow: Generator
    discriminator: Discriminator
    optimizer_generator: torch.optim.Adam
    optimizer_discriminator: torch.optim.Adam
    scaler: torch.amp.GradScaler
    counters: Counters = field(default_factory=Counters)

    def modules(self) -> dict[str, nn.Module]:
        """The networks by the prefix of their names in a checkpoint."""
        return {
            "generator": self.generator,
            "ema": self.ema,
            "ema_slow": self.ema_slow,
            "discriminator": self.discriminator,
        }

    def optimizers(self) -> dict[str, tuple[torch.optim.Adam, nn.Module]]:
        """The optimisers, each with the network it trains."""
        return {
            "optimizer_generator": (self.optimizer_generator, self.generator),
            "optimizer_discriminator": (self.optimizer_discriminator, self.discriminator),
        }


def initial_state(params: Params, device: torch.device, seed: int) -> TrainingState:
    """Freshly initialised networks; the same seed gives the same weights on every device."""
    with torch.random.fork_rng(devices=[]):
        # PyTorch's initialisers draw from the global generator, which this restores afterwards
        torch.default_generator.manual_seed(seed)
        generator = Generator(params.model)
        top = params.curriculum.order[-1].resolution
        discriminator = Discriminator(params.model.discriminator, params.model.z_dim, top)
    generator, discriminator = generator.to(device), discriminator.to(device)
    training = params.training
    rates = [
        {"params": list(generator.field.parameters()), "scale": 1.0},
        {"params": list(generator.mapping.parameters()), "scale": training.mapping_lr_scale},
    ]
    first, second = training.adam_betas
    return TrainingState(
        generator=generator,
        ema=copy.deepcopy(generator).requires_grad_(False),
        ema_slow=copy.deepcopy(generator).requires_grad_(False),
        discriminator=discriminator,
        optimizer_generator=torch.optim.Adam(
            [group for group in rates if group["params"]], betas=(first, second), fused=True
        ),
        optimizer_discriminator=torch.optim.Adam(discriminator.parameters(), betas=(first, second), fused=True),
        scaler=torch.amp.GradScaler(device.type, enabled=choose_dtype(training.precision, device) == torch.float16),
    )


def save_state(path: Path, state: TrainingState, about: dict[str, Any]) -> None:
    """Writes the state atomically; `about` joins its description.

    Raises:
        PiganError: a weight is not finite, the disk is full, or no permission.
    """
    tensors: dict[str, Tensor] = {}
    for prefix, module in state.modules().items():
        tensors |= {f"{prefix}.{name}": value for name, value in module.state_dict().items()}
    for prefix, (optimizer, module) in state.optimizers().items():
        for name, parameter in module.named_parameters():
            moments = optimizer.state.get(parameter, {})
            tensors |= {f"{prefix}.{name}.{moment}": value for moment, value in moments.items()}
    counters, scaler = vars(state.counters), state.scaler.state_dict()
    write_tensors(path, tensors, {"counters": counters, "scaler": scaler, **about})


def write_tensors(path: Path, tensors: dict[str, Tensor], about: dict[str, Any]) -> None:
    """Writes tensors and a description that `describe` reads, atomically; the same ones give the same bytes.

    Raises:
        PiganError: a tensor is not finite, the disk is full, or no permission.
    """
    broken = next((name for name, value in tensors.items() if not torch.isfinite(value).all()), None)
    if broken:
        raise PiganError(f"{path}: not saved, {broken} is not finite; lower the learning rates or use fp32")
    description = {"format": FORMAT, **about}
    # one key: the order of several would differ from run to run
    data = save({name: value.contiguous() for name, value in tensors.items()}, {"pigan": json.dumps(description)})
    with atomic_file(path) as temporary:
        temporary.write_bytes(data)


def describe(path: Path) -> dict[str, Any]:
    """What a checkpoint says of itself, without reading its tensors.

    Raises:
        PiganError: missing, damaged, or not written by pigan.
    """
    try:
        with safe_open(path, framework="pt") as handle:
            description = json.loads((handle.metadata() or {})["pigan"])
    except FileNotFoundError:
        raise PiganError(f"{path}: no such checkpoint; run the stage that writes it first") from None
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise PiganError(f"{path}: no checkpoint of pigan ({error}); delete it and run its stage again") from None
    if description.get("format") != FORMAT:
        raise PiganError(f"{path}: format {description.get('format')}, this pigan reads format {FORMAT}; train again")
    return dict(description)


def load_state(path: Path, state: TrainingState, params: Params) -> dict[str, Any]:
    """Fills `state` from a checkpoint and returns the checkpoint's description.

    Raises:
        PiganError: missing, damaged, or made with another architecture.
    """
    description = describe(path)
    check_architecture(path, description, params)
    tensors = _read(path, "")
    for prefix, module in state.modules().items():
        module.load_state_dict(_below(tensors, prefix))
    for prefix, (optimizer, module) in state.optimizers().items():
        moments = _below(tensors, prefix)
        for name, parameter in module.named_parameters():
            if f"{name}.exp_avg" in moments:
                on_device = {moment: moments[f"{name}.{moment}"].to(parameter.device) for moment in ADAM_MOMENTS}
                optimizer.state[parameter] = on_device
    state.counters = Counters(**description["counters"])
    state.scaler.load_state_dict(description["scaler"])
    return description


def load_generator(path: Path, params: Params, weights: str, device: torch.device) -> Generator:
    """The generator of a checkpoint: `ema`, `ema_slow` or `raw` weights; of a snapshot: `ema`.

    Raises:
        PiganError: missing, damaged, or made with another architecture.
    """
    check_architecture(path, describe(path), params)
    generator = Generator(params.model)
    generator.load_state_dict(_read(path, "generator" if weights == "raw" else weights))
    return generator.to(device).requires_grad_(False)


def load_discriminator(path: Path, params: Params, device: torch.device) -> Discriminator:
    """The discriminator of a checkpoint, for judging only.

    Raises:
        PiganError: missing, damaged, or made with another architecture.
    """
    check_architecture(path, describe(path), params)
    top = params.curriculum.order[-1].resolution
    discriminator = Discriminator(params.model.discriminator, params.model.z_dim, top)
    discriminator.load_state_dict(_read(path, "discriminator"))
    return discriminator.to(device).requires_grad_(False)


def check_architecture(path: Path, description: dict[str, Any], params: Params) -> None:
    """Raises PiganError when a checkpoint's networks differ from those that `params` describe."""
    saved, wanted = description.get("architecture", {}), architecture(params)
    for key, value in wanted.items():
        if saved.get(key) != value:
            raise PiganError(
                f"{path}: made with {key} {saved.get(key)}, params say {value}; "
                "use the params it was trained with, or train again"
            )


def architecture(params: Params) -> dict[str, Any]:
    """The params that shapes of weights, and their meaning, depend on."""
    model = params.model.model_dump(exclude={"discriminator"})
    irrelevant = ("samples", "hierarchical", "density_activation", "background", "eval_background")
    return {
        **{f"model.{key}": value for key, value in model.items() if key not in irrelevant},
        **{f"model.discriminator.{key}": value for key, value in params.model.discriminator.model_dump().items()},
        "top_resolution": params.curriculum.order[-1].resolution,
    }


def _read(path: Path, prefix: str) -> dict[str, Tensor]:
    """The tensors below `prefix`, which their names lose."""
    with safe_open(path, framework="pt") as handle:
        start = f"{prefix}." if prefix else ""
        names = [name for name in handle.keys() if name.startswith(start)]  # noqa: SIM118 (no mapping)
        return {name.removeprefix(start): handle.get_tensor(name) for name in names}


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(f"{prefix}."): value for name, value in tensors.items() if name.startswith(f"{prefix}.")}
