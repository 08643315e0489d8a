from pathlib import Path
from typing import Any, Protocol

import pytest

from pigan import config

DEMO = Path(config.__file__).parent / "presets" / "demo.yaml"


class MakeParams(Protocol):
    def __call__(self, **dataset: Any) -> config.Params: ...


@pytest.fixture(scope="session")
def make_params() -> MakeParams:
    """The demo's params, small, with keys of `dataset` replaced (nested sections are merged)."""

    def make(**dataset: Any) -> config.Params:
        small = {"cars": {"views": 6, "size": 24, "views_per_car": 2}}
        values = config.merge(config.load(DEMO).model_dump(), {"dataset": small})
        return config.parse(config.merge(values, {"dataset": dataset}))

    return make
