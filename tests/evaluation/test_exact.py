"""What a perfect generator scores across views: the exact renderer of the cars, by the way of the prepared data."""

import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks import standins
from benchmarks.standins import Standin
from pigan import config
from pigan.data.cars.view import CarJob, render_car
from pigan.data.crop import crop_settings
from pigan.data.posed.frames import Intrinsics
from pigan.data.square import CropJob, crop_one
from pigan.evaluation import exact
from pigan.evaluation.exact import MOST, TurnedViews, exact_views
from pigan.evaluation.shape import EXACT, exact_scores

SIDE, OBJECTS, SEED = 32, 3, 7


@pytest.fixture(scope="module")
def params(tiny_params: config.Params) -> config.Params:
    changes = {
        "dataset": {"cars": {"size": 64, "supersampling": 2}},
        "curriculum": tiny_params.curriculum.model_dump(),
        "generate": {"resolution": SIDE, "consistency_latents": OBJECTS},
        "evaluate": {"seed": SEED},
    }
    return config.parse(config.merge(tiny_params.model_dump(), changes))


@pytest.fixture(scope="module")
def views(params: config.Params) -> TurnedViews:
    found = exact_views(params)
    assert found is not None
    return found


def test_a_view_has_the_bytes_that_prepared_data_would_have(
    params: config.Params, views: TurnedViews, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera, cars = params.camera, params.dataset.cars
    assert cars is not None
    for folder in ("images", "depth"):
        (tmp_path / folder).mkdir()
    # the stage that renders the data draws car k from (seed, k)
    seeded = np.random.default_rng([SEED, 1, exact.OTHER_CARS])
    monkeypatch.setattr("pigan.data.cars.view.np.random.default_rng", lambda _: seeded)
    poses = views.cam2world[3:4].astype(np.float64)
    reach = camera.radius * math.sin(camera.fov / 2)
    render_car(CarJob(0, 0, 0, poses, camera.fov, reach, cars.size, cars.supersampling, tmp_path))
    focal = 0.5 / math.tan(camera.fov / 2)
    job = CropJob(
        tmp_path / "images" / "00000.png",
        None,
        Intrinsics(focal, focal, 0.5, 0.5),
        crop_settings(params.dataset, [SIDE]),
    )
    made = crop_one(job).images[SIDE].astype(int)
    # cam2world was rounded to float32 on its way here
    assert np.abs(made - views.images[1, 3]).max() <= 1
    assert np.abs(made - views.images[0, 3]).max() > 50


def test_cars_are_other_ones_than_those_of_the_data(params: config.Params, views: TurnedViews) -> None:
    assert views.images.shape == (OBJECTS, 5, SIDE, SIDE, 3) and views.depth.shape == (OBJECTS, 5, SIDE, SIDE)
    data = standins.true_cars(OBJECTS, SIDE, params.camera, SEED)
    assert np.array_equal(views.cam2world, data.cam2world)
    away = np.abs(views.images[:, None].astype(int) - data.images[None]).mean((2, 3, 4, 5))
    assert away.min() > 3


def test_what_is_left_is_far_below_a_generator_with_a_fault(
    params: config.Params, views: TurnedViews, monkeypatch: pytest.MonkeyPatch
) -> None:
    perfect = exact_scores(params).values
    assert set(perfect) == set(EXACT)
    photometric, depth, visible, chamfer = (perfect[key] or math.nan for key in EXACT)
    assert 0 < depth < 0.005 and 0 < photometric < 0.02 and visible > 0.9 and chamfer < 0.02
    flat = standins.billboard(Standin(*views, np.zeros(OBJECTS, np.float32)))
    monkeypatch.setattr("pigan.evaluation.shape.exact_views", lambda _: TurnedViews(*flat[:4]))
    spoiled = exact_scores(params).values
    assert (spoiled["depth_reprojection_error_exact"] or 0) > 5 * depth
    assert (spoiled["reprojection_error_exact"] or 0) > 1.5 * photometric
    assert (spoiled["visible_share_exact"] or 1) < visible - 0.1


def test_many_objects_cost_no_more_than_enough_cars(params: config.Params, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(exact, "turned_cars", lambda seeds, *_: asked.append(len(seeds)))
    exact_views(config.parse(config.merge(params.model_dump(), {"generate": {"consistency_latents": 1000}})))
    assert asked == [MOST]


def test_a_smaller_crop_narrows_the_view(params: config.Params) -> None:
    changes = {"dataset": {"crop": {"center": 32}}, "generate": {"consistency_latents": 1}}
    found = exact_views(config.parse(config.merge(params.model_dump(), changes)))
    assert found is not None
    assert math.tan(found.fov / 2) == pytest.approx(math.tan(params.camera.fov / 2) / 2)
    # the whole frame shows the car
    assert np.isfinite(found.depth[0, 2]).mean() > 0.6


def test_data_without_a_renderer_has_no_views(params: config.Params) -> None:
    changes = {"dataset": {"kind": "folder", "source": "photos", "cars": None}}
    other = config.parse(config.merge(params.model_dump(), changes))
    assert exact_views(other) is None
    assert exact_scores(other).values == dict.fromkeys(EXACT)
