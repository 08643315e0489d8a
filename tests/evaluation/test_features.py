"""Features of arrays of images: in order, in memory, the same on one device and on several."""

import numpy as np
import pytest
import torch
from torch import nn

from pigan.evaluation import features
from pigan.evaluation.extractors import Extractor, load_extractor
from pigan.evaluation.features import depth_images, extract, through_jpeg

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def lite0(section):
    return load_extractor("efficientnet_lite0", section())


class Means(nn.Module):
    """Mean of each colour: features that can be checked by hand."""

    def __init__(self, fails_at=None):
        super().__init__()
        self.fails_at = fails_at
        self.batches = []

    def forward(self, images):
        self.batches.append(len(images))
        if self.fails_at is not None and (images == self.fails_at).all((1, 2, 3)).any():
            raise RuntimeError("broken")
        return (images.double().mean((2, 3)),)

    def __deepcopy__(self, _):
        # so that a test sees the batches of every replica
        return self


def means(**settings):
    return Extractor("clip", Means(**settings), 3, None)


def test_images_come_back_in_order_whatever_the_batches(section, noise):
    expected = noise.astype(np.float64).mean((1, 2)).astype(np.float32)
    for batch_size in (1, 3, 7, 100):
        found = extract(noise, means(), section(batch_size=batch_size), [CPU])
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_rows_are_taken_in_their_order_and_mirrored_where_told(section, noise):
    rows = np.array([5, 0, 3])
    mirrored = np.array([True, False, True])
    seen = []
    extractor = means()
    extractor.network.register_forward_pre_hook(lambda _, given: seen.append(given[0].clone()))
    before = noise.copy()
    extract(noise, extractor, section(batch_size=2), [CPU], rows=rows, mirrored=mirrored)
    expected = np.stack([noise[5][:, ::-1], noise[0], noise[3][:, ::-1]])
    np.testing.assert_array_equal(torch.cat(seen).permute(0, 2, 3, 1).numpy(), expected)
    np.testing.assert_array_equal(noise, before)


def test_images_are_read_from_disk_a_batch_at_a_time(section, noise, tmp_path):
    np.save(tmp_path / "images.npy", noise)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    found = extract(mapped, means(), section(batch_size=2), [CPU], rows=np.array([1, 2, 6]), mirrored=np.ones(3, bool))
    np.testing.assert_array_equal(found, extract(noise, means(), section(), [CPU])[[1, 2, 6]])


def test_no_images_have_no_features(section, noise):
    assert extract(noise[:0], means(), section(), [CPU]).shape == (0, 3)
    assert extract(noise, means(), section(), [CPU, CPU], rows=np.empty(0, np.int64)).shape == (0, 3)


def test_several_devices_give_the_bits_of_one(section, noise, lite0):
    # seven images: four batches, the last one smaller, two of them for each device
    config = section(batch_size=2)
    alone = extract(noise, lite0, config, [CPU])
    np.testing.assert_array_equal(extract(noise, lite0, config, [CPU, CPU]), alone)
    np.testing.assert_array_equal(extract(noise, lite0, config, [CPU, CPU, CPU]), alone)
    # more devices than batches
    np.testing.assert_array_equal(extract(noise[:1], lite0, config, [CPU, CPU]), alone[:1])


def test_devices_share_the_batches_of_one_device(section, noise):
    shared = means()
    extract(noise, shared, section(batch_size=2), [CPU, CPU])
    assert sorted(shared.network.batches) == [1, 2, 2, 2]


@pytest.mark.parametrize("broken", [0, 1])
def test_failure_on_one_device_ends_the_others(section, broken):
    images = np.full((400, 4, 4, 3), 9, np.uint8)
    images[broken] = 1
    failing = means(fails_at=1)
    with pytest.raises(RuntimeError, match="broken"):
        extract(images, failing, section(batch_size=1), [CPU, CPU])
    assert len(failing.network.batches) < 400


def test_images_do_not_depend_on_their_batch(section, noise, lite0):
    together = extract(noise[:4], lite0, section(batch_size=4), [CPU])
    apart = extract(noise[:4], lite0, section(batch_size=1), [CPU])
    np.testing.assert_allclose(together, apart, rtol=1e-3, atol=1e-4)


def test_progress_counts_images(section, noise, capsys):
    extract(noise, means(), section(batch_size=2), [CPU, CPU], "features of noise")
    assert "features of noise: 7/7 images" in capsys.readouterr().err


def test_official_protocol_compresses_images_before_the_network(section, noise):
    official = section(protocol="official")
    found = extract(noise, means(), official, [CPU])
    np.testing.assert_array_equal(found, extract(through_jpeg(noise), means(), section(), [CPU]))
    assert np.abs(found - extract(noise, means(), section(), [CPU])).max() > 0.01
    # mirrored first, then compressed: chroma is halved from the left
    flipped = extract(noise, means(), official, [CPU], mirrored=np.ones(7, bool))
    np.testing.assert_array_equal(flipped, extract(through_jpeg(noise[:, :, ::-1]), means(), section(), [CPU]))


def test_jpeg_keeps_flat_images_and_drops_fine_colour():
    flat = np.full((1, 16, 16, 3), 128, dtype=np.uint8)
    np.testing.assert_array_equal(through_jpeg(flat), flat)
    stripes = np.zeros((1, 16, 16, 3), dtype=np.uint8)
    stripes[:, :, ::2, 0] = 255
    stripes[:, :, 1::2, 2] = 255
    # 4:2:0 halves the chroma, so neighbouring red and blue columns mix
    assert through_jpeg(stripes)[0, 8, 8, 0] < 200


def test_depth_images_are_lighter_the_nearer_and_black_where_there_is_nothing():
    depth = np.array([[[0.75, 1.0], [1.25, np.nan]]], np.float32)
    found = depth_images(depth, 0.75, 1.25)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found[0, :, :, 0], [[255, 160], [64, 0]])
    np.testing.assert_array_equal(found, np.repeat(found[..., :1], 3, axis=-1))


def test_depth_images_are_monotone_and_never_mistake_a_surface_for_nothing():
    depth = np.linspace(0.5, 1.5, 101, dtype=np.float32).reshape(1, 1, 101)
    grey = depth_images(depth, 0.75, 1.25)[0, 0, :, 0].astype(int)
    assert (np.diff(grey) <= 0).all()
    assert grey[0] == features.NEAR_GREY and grey[-1] == features.FAR_GREY > 0
    assert len(set(grey)) > 45
    assert depth_images(depth[:0], 0.75, 1.25).shape == (0, 1, 101, 3)
