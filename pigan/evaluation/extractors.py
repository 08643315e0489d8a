"""Networks that turn images into features: EfficientNet-Lite0, Inception-v3, DINOv2 and CLIP.

Each scales images to its own input itself and gives a tuple of one tensor, as torch-fidelity's own networks do.
"""

import copy
import io
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors.torch
import torch
from efficientnet_lite_pytorch import EfficientNet
from jaxtyping import Float, Float32, UInt8
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from pigan.errors import PiganError
from pigan.evaluation.weights import DIMENSIONS, PUBLISHED, packaged_lite0, weight_file
from pigan.sections import Evaluate
from pigan.sections import Extractor as ExtractorName

LITE0 = "efficientnet-lite0"
LITE0_SIDE = 224
# TensorFlow's reference EfficientNet-Lite scales 0..255 to about -1..1; the weights were converted from it
LITE0_MEAN, LITE0_SCALE = 127.0, 128.0
LITE0_NORMS = (
    ("_conv_stem", "_bn0"),
    ("_expand_conv", "_bn0"),
    ("_depthwise_conv", "_bn1"),
    ("_project_conv", "_bn2"),
    ("_conv_head", "_bn1"),
)

INCEPTION, INCEPTION_LAYER = "inception-v3-compat", "2048"
CLIP, CLIP_LAYER = "clip-vit-b-32", "clip"

DINOV2_MODEL = "vit_small_patch14_dinov2"
# pixels, of which a patch has 14
DINOV2_SIDE, DINOV2_GRID = 224, 16
DINOV2_MEAN, DINOV2_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# the authors' interpolate_offset: their grid of positions is stretched by (16 + 0.1) / 37, not 16 / 37
DINOV2_OFFSET = 0.1


class Classifier(NamedTuple):
    """The linear layer that turns features into class logits, for the Inception score.

    Inception's has no bias, as in the score's first implementation and torch-fidelity's `logits_unbiased`.
    EfficientNet-Lite0's is its whole layer, bias included: there is no precedent to follow, and its logits are then
    those of the classes.
    """

    weight: Float32[np.ndarray, "classes d"]
    bias: Float32[np.ndarray, "classes"] | None

    def logits(self, features: Float32[np.ndarray, "n d"]) -> Float32[np.ndarray, "n classes"]:
        """Logits of every class."""
        product = features @ self.weight.T
        return product if self.bias is None else product + self.bias


class Extractor(NamedTuple):
    """A network in evaluation mode; `load_extractor` makes it."""

    name: ExtractorName
    network: nn.Module
    """Takes images of 0..255 (N x 3 x H x W, bytes) of any size, and gives a tuple of one tensor."""
    dimension: int
    class_weights: Classifier | None
    """None: the network knows no classes."""

    def features(self, images: UInt8[Tensor, "n 3 h w"]) -> Float32[Tensor, "n d"]:
        """Features of RGB images that lie where the network does."""
        (features,) = self.network(images)
        return features.float()

    def replica(self, device: torch.device) -> "Extractor":
        """The same on `device`, sharing nothing with this one."""
        return self._replace(network=copy.deepcopy(self.network).to(device))


def load_extractor(name: ExtractorName, evaluate: Evaluate) -> Extractor:
    """The extractor of that name on the CPU; never another one in its place.

    Raises:
        PiganError: its weights are missing, cannot be fetched, or are not the expected ones.
    """
    if name == "efficientnet_lite0":
        lite0 = EfficientNetLite0()
        layer = lite0.network._fc
        return Extractor(name, lite0, DIMENSIONS[name], Classifier(layer.weight.numpy(), layer.bias.numpy()))
    path = weight_file(name, evaluate)
    if name == "inception":
        inception = _inception(path)
        classes = inception.get_parameter("fc.weight").numpy()
        return Extractor(name, inception, DIMENSIONS[name], Classifier(classes, None))
    if name == "clip":
        return Extractor(name, *_clip(path), None)
    return Extractor(name, DinoV2(path), DIMENSIONS[name], None)


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 (ImageNet): 1280 globally averaged features of images 0..255."""

    def __init__(self) -> None:
        super().__init__()
        self.network = EfficientNet.from_name(LITE0)
        self.network.load_state_dict(torch.load(packaged_lite0(), map_location="cpu", weights_only=True))
        _speed_up(self.network)
        self.to(memory_format=torch.channels_last)
        self.requires_grad_(False)
        self.eval()

    def forward(self, images: UInt8[Tensor, "n 3 h w"]) -> tuple[Float[Tensor, "n 1280"]]:
        """Features of RGB images of any size, as the only element of a tuple."""
        side = (LITE0_SIDE, LITE0_SIDE)
        resized = nn.functional.interpolate(images.float(), size=side, mode="bilinear", antialias=True)
        scaled = ((resized - LITE0_MEAN) / LITE0_SCALE).contiguous(memory_format=torch.channels_last)
        return (self.network.extract_features(scaled).mean((2, 3)),)


class DinoV2(nn.Module):
    """DINOv2 ViT-S/14 (arXiv 2304.07193): the class token of images 0..255, 384 features.

    torch-fidelity's own extractor downloads the authors' code; this one builds the same network with timm and scales
    images as that one does: TensorFlow 1's bilinear resize to 224 pixels, ImageNet's mean and standard deviation.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        # slow to import, and seldom needed
        import timm

        self.network = timm.create_model(DINOV2_MODEL, pretrained=False, img_size=DINOV2_SIDE, num_classes=0)
        tensors = dict(_tensors(path, PUBLISHED["dinov2"].name))
        # it takes the place of patches that training hides
        tensors.pop("mask_token", None)
        try:
            tensors["pos_embed"] = positions_for(tensors["pos_embed"], DINOV2_GRID)
            self.network.load_state_dict(tensors)
        except (RuntimeError, KeyError) as error:
            raise _other_weights(path, "DINOv2 ViT-S/14's", PUBLISHED["dinov2"].name) from error
        self.register_buffer("mean", 255 * torch.tensor(DINOV2_MEAN)[:, None, None])
        self.register_buffer("std", 255 * torch.tensor(DINOV2_STD)[:, None, None])
        self.requires_grad_(False)
        self.eval()

    def forward(self, images: UInt8[Tensor, "n 3 h w"]) -> tuple[Float[Tensor, "n 384"]]:
        """Features of RGB images of any size, as the only element of a tuple."""
        # as slow to import as PyTorch itself
        from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

        side = (DINOV2_SIDE, DINOV2_SIDE)
        resized = interpolate_bilinear_2d_like_tensorflow1x(images.float(), size=side, align_corners=False)
        return (self.network((resized - self.mean) / self.std),)


def positions_for(positions: Float[Tensor, "1 tokens d"], side: int) -> Float[Tensor, "1 fewer d"]:
    """DINOv2's position embeddings for `side` x `side` patches, interpolated bicubically as the authors' code does.

    The class token's comes first and stays. The authors' scale is a little larger than the ratio of the sides
    (DINOV2_OFFSET) and nothing is low-passed: timm's own interpolation would give other features than their code.
    """
    own, patches = positions[:, :1], positions[:, 1:]
    known = round(patches.shape[1] ** 0.5)
    if known == side:
        return positions
    grid = patches.transpose(1, 2).unflatten(2, (known, known))
    scale = (side + DINOV2_OFFSET) / known
    fitted = nn.functional.interpolate(grid.float(), scale_factor=(scale, scale), mode="bicubic")
    return torch.cat([own, fitted.flatten(2).transpose(1, 2).to(own.dtype)], 1)


def _inception(path: Path) -> nn.Module:
    from torch_fidelity import FeatureExtractorInceptionV3

    # torch-fidelity unpickles whatever a file holds, so it is handed only the tensors, written anew
    name = PUBLISHED["inception"].name
    buffer = io.BytesIO()
    torch.save(_tensors(path, name), buffer)
    buffer.seek(0)
    try:
        inception = FeatureExtractorInceptionV3(INCEPTION, [INCEPTION_LAYER], feature_extractor_weights_path=buffer)
    except (RuntimeError, TypeError) as error:
        raise _other_weights(path, "Inception-v3's", name) from error
    return inception.to(memory_format=torch.channels_last)


def _clip(path: Path) -> tuple[nn.Module, int]:
    """CLIP's image half, and its dimension, from a TorchScript file; it may hold code, so a verified one comes here."""
    from torch_fidelity.feature_extractor_clip import FeatureExtractorCLIP

    try:
        with warnings.catch_warnings():
            # the published file is TorchScript, which PyTorch calls deprecated
            warnings.simplefilter("ignore", FutureWarning)
            clip = FeatureExtractorCLIP(CLIP, [CLIP_LAYER], feature_extractor_weights_path=str(path))
    except (RuntimeError, KeyError, ValueError) as error:
        raise _other_weights(path, "CLIP's", PUBLISHED["clip"].name) from error
    return clip, clip.model.visual.output_dim


def _tensors(path: Path, published: str) -> Mapping[str, Tensor]:
    """The tensors of a .safetensors or PyTorch file by name; nothing else that it holds is made.

    Raises:
        PiganError: it holds something else.
    """
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        loaded: Mapping[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise PiganError(f"{path}: no plain file of weights ({type(error).__name__}); fetch {published}") from error
    if not isinstance(loaded, Mapping):
        raise PiganError(f"{path}: no plain file of weights; fetch {published}")
    return loaded


def _other_weights(path: Path, whose: str, published: str) -> PiganError:
    return PiganError(f"{path}: holds other weights than {whose}; fetch {published}")


def _speed_up(network: nn.Module) -> None:
    """Folds batch norms and symmetric paddings into the convolutions: equal to rounding, a third of the time."""
    network.eval()
    for module in list(network.modules()):
        parts = dict(module.named_children())
        for conv_name, norm_name in LITE0_NORMS:
            conv, norm = parts.get(conv_name), parts.get(norm_name)
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                module.add_module(conv_name, fuse_conv_bn_eval(conv, norm))
                module.add_module(norm_name, nn.Identity())
        padding = parts.get("static_padding")
        if isinstance(module, nn.Conv2d) and isinstance(padding, nn.ZeroPad2d) and len(set(padding.padding)) == 1:
            module.padding = (padding.padding[0], padding.padding[0])
            module.add_module("static_padding", nn.Identity())
        if isinstance(module, nn.ReLU6):
            module.inplace = True
