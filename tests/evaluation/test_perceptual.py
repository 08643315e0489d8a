"""Feature maps for losses: fine to coarse, of the network that evaluates, with gradients for the images."""

import torch

from pigan.evaluation.extractors import EfficientNetLite0
from pigan.evaluation.perceptual import BLOCKS, SIDE, FeatureMaps


def test_maps_are_those_of_the_blocks_of_the_network() -> None:
    seen: list[torch.Tensor] = []
    network = EfficientNetLite0().network
    for number in BLOCKS:
        network._blocks[number].register_forward_hook(lambda *call: seen.append(call[2]))
    images = 2 * torch.rand((2, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(0)) - 1
    maps = FeatureMaps()(images)
    assert [values.shape[-1] for values in maps] == [SIDE // 2, SIDE // 4, SIDE // 8, SIDE // 16]
    network.extract_features((127.5 * (images + 1) - 127) / 128)
    for ours, theirs in zip(maps, seen, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_images_of_any_size_have_gradients() -> None:
    images = torch.zeros((1, 3, 20, 20), requires_grad=True)
    features = FeatureMaps()
    sum(values.square().mean() for values in features(images)).backward()  # type: ignore[union-attr]
    assert images.grad is not None and images.grad.abs().amax() > 0
    assert all(parameter.grad is None for parameter in features.parameters())
