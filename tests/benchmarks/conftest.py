"""A tiny training that stopped after its first steps at 16 px, in a folder as benchmarks/box lays it out."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchmarks.box.place import Place
from pigan import config
from pigan.data.crop import crop
from pigan.data.sources.download import download
from pigan.stages.train import init_stage, train_stage
from pigan.training.stopping import Stopped


def trained(place: Place, resolution: int) -> None:
    link = next(link for link in place.params.curriculum.order if link.resolution == resolution)
    run = place.training(link)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIGAN_WORK", str(place.folder / "work"))
        train_stage(place.params, place.arm, place.seed, resolution, place.data, run.init, run.out, "cpu")
    torch.use_deterministic_algorithms(False)


def begin(place: Place) -> None:
    raw = place.folder / "raw"
    download(place.params, raw, workers=1)
    crop(place.params, raw, place.data, 1)
    init_stage(place.params, place.arm, place.seed, place.run / "init")


@pytest.fixture(scope="session")
def stopped(tiny_params: config.Params, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """8 px is finished, 16 px has done one step of five."""
    values = config.merge(tiny_params.model_dump(), {"training": {"snapshot_steps": 0}})
    params = config.parse(values, "tiny.yaml")
    place = Place(tmp_path_factory.mktemp("box"), params, "baseline", 0, "cpu")
    begin(place)
    trained(place, 8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "PIGAN_DEADLINE", "+1")
        with pytest.raises(Stopped):
            trained(place, 16)
    return place


@pytest.fixture
def train() -> Callable[[Place, int], None]:
    """Trains a stage of a place in this process."""
    return trained


@pytest.fixture
def other_place(stopped: Place, tmp_path: Path) -> Place:
    """The same training on another machine, where only data and starting weights are."""
    place = Place(tmp_path / "other", stopped.params, "baseline", 0, "cpu")
    place.folder.mkdir()
    (place.folder / "data").symlink_to(stopped.folder / "data")
    shutil.copytree(stopped.run / "init", place.run / "init")
    return place
