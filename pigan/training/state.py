"""Everything that training changes, and how it becomes a checkpoint and comes back from one."""

import copy
import inspect
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pigan.config import Params
from pigan.errors import PiganError
from pigan.kernels.choose import choose_dtype
from pigan.models.discriminator import Discriminator, regrown
from pigan.models.generator import Generator
from pigan.training.checkpoint import damaged, read_tensors, write_tensors

ADAM_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


class Adam(torch.optim.Adam):
    """Adam without PyTorch's compiler, which takes longer to load than PyTorch itself.

    PyTorch's own wrappers of these methods load it to keep it out of them; nothing is compiled here.
    """

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As in PyTorch."""
        inspect.unwrap(torch.optim.Adam.add_param_group)(self, param_group)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """As in PyTorch."""
        inspect.unwrap(torch.optim.Adam.step)(self, closure)


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
    optimizer_generator: Adam
    optimizer_discriminator: Adam
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

    def optimizers(self) -> dict[str, tuple[Adam, nn.Module]]:
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
        optimizer_generator=Adam([group for group in rates if group["params"]], betas=(first, second), fused=True),
        optimizer_discriminator=Adam(discriminator.parameters(), betas=(first, second), fused=True),
        scaler=_new_scaler(params, device),
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


def load_state(path: Path, state: TrainingState, params: Params) -> dict[str, Any]:
    """Makes `state` that of a checkpoint and returns the checkpoint's description.

    Raises:
        PiganError: missing, damaged, or made with another architecture; `state` is then of no use.
    """
    description, tensors = read_tensors(path)
    check_architecture(path, description, params)
    for prefix, module in state.modules().items():
        _fill(path, module, _below(tensors, prefix), prefix)
    for prefix, (optimizer, module) in state.optimizers().items():
        moments = _below(tensors, prefix)
        # those of another checkpoint, which this one may be loaded after
        optimizer.state.clear()
        for name, parameter in module.named_parameters():
            if f"{name}.exp_avg" in moments:
                optimizer.state[parameter] = _moments(path, moments, name, parameter)
    try:
        state.counters = Counters(**{key: int(value) for key, value in description["counters"].items()})
        # that of another checkpoint, which this one may be loaded after
        state.scaler = _new_scaler(params, state.generator.device)
        # empty where it was saved without one, as the first weights are
        if description["scaler"]:
            state.scaler.load_state_dict(description["scaler"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise damaged(path, f"its counters or scaler are wrong: {error}") from None
    return description


def load_weights(path: Path, state: TrainingState, params: Params) -> None:
    """Makes the networks of `state` those of a finished model that training starts from.

    Where it lacks weights of the generator (`pigan export`), others of it take their place; a discriminator that it
    lacks (`pigan import-checkpoint`) stays as it is, and then may be of any kind. One of another highest side grows, or
    is cut, to that of `params`.

    Raises:
        PiganError: missing, damaged, or made with another architecture; `state` is then of no use.
    """
    description, tensors = read_tensors(path)
    there = {prefix: below for prefix in state.modules() if (below := _below(tensors, prefix))}
    # of a discriminator that is not there
    unused = [] if "discriminator" in there else [key for key in architecture(params) if "discriminator" in key]
    check_architecture(path, description, params, free=["top_resolution", *unused])
    if "discriminator" in there:
        top = description["architecture"].get("top_resolution")
        if not isinstance(top, int) or top < 2:
            raise damaged(path, f"the highest side of its discriminator is {top}")
        weights = regrown(there["discriminator"], top, state.discriminator)
        _fill(path, state.discriminator, weights, "discriminator")
    for prefix, module in (("generator", state.generator), ("ema", state.ema), ("ema_slow", state.ema_slow)):
        found = next((other for other in (prefix, "ema", "ema_slow", "generator") if other in there), prefix)
        _fill(path, module, there.get(found, {}), found)
    state.counters = Counters(global_step=description.get("counters", {}).get("global_step", 0))


def load_generator(path: Path, params: Params, weights: str, device: torch.device) -> Generator:
    """The generator of a checkpoint: `ema`, `ema_slow` or `raw` weights; of a snapshot: `ema`.

    Raises:
        PiganError: missing, damaged, or made with another architecture.
    """
    description, tensors = read_tensors(path)
    check_architecture(path, description, params)
    generator = Generator(params.model)
    prefix = "generator" if weights == "raw" else weights
    _fill(path, generator, _below(tensors, prefix), prefix)
    return generator.to(device).requires_grad_(False)


def load_discriminator(path: Path, params: Params, device: torch.device) -> Discriminator:
    """The discriminator of a checkpoint, for judging only.

    Raises:
        PiganError: missing, damaged, or made with another architecture.
    """
    description, tensors = read_tensors(path)
    check_architecture(path, description, params)
    top = params.curriculum.order[-1].resolution
    discriminator = Discriminator(params.model.discriminator, params.model.z_dim, top)
    _fill(path, discriminator, _below(tensors, "discriminator"), "discriminator")
    return discriminator.to(device).requires_grad_(False)


def check_architecture(path: Path, description: dict[str, Any], params: Params, free: Collection[str] = ()) -> None:
    """Raises PiganError when a checkpoint's networks differ from those of `params`, in other keys than `free`."""
    saved, wanted = description.get("architecture", {}), architecture(params)
    for key, value in wanted.items():
        if key not in free and saved.get(key) != value:
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


def _new_scaler(params: Params, device: torch.device) -> torch.amp.GradScaler:
    return torch.amp.GradScaler(device.type, enabled=choose_dtype(params.training.precision, device) == torch.float16)


def _fill(path: Path, module: nn.Module, weights: dict[str, Tensor], what: str) -> None:
    """Gives `module`, which people know as `what`, its weights."""
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        told = " ".join(str(error).split())
        raise PiganError(f"{path}: holds other weights of {what} than its architecture has ({told})") from None


def _moments(path: Path, tensors: dict[str, Tensor], name: str, parameter: Tensor) -> dict[str, Tensor]:
    """Adam's moments of a parameter on its device; its kernels would not look whether they fit."""
    found = {}
    for moment in ADAM_MOMENTS:
        value, shape = tensors.get(f"{name}.{moment}"), torch.Size([]) if moment == "step" else parameter.shape
        if value is None or value.shape != shape or value.dtype != torch.float32:
            raise damaged(path, f"Adam's {moment} of {name} does not fit")
        found[moment] = value.to(parameter.device)
    return found


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(f"{prefix}."): value for name, value in tensors.items() if name.startswith(f"{prefix}.")}
