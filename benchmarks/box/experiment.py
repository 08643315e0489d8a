"""The params of a box: of a new training, and of what one has reached."""

import argparse

from pigan import config, presets
from pigan.config import Params


def reached_params(params: Params, arm: str, seed: int, resolution: int, step: int, label: str) -> Params:
    """An experiment of one arm and seed that ends after `step` steps of the stage at `resolution`."""
    values = params.for_arm(arm).model_dump()
    later = False
    for link in params.curriculum.order:
        here = link.resolution == resolution
        if here or later:
            values["curriculum"]["stages"][link.name]["steps"] = step if here else 0
        later = later or here
    values["generate"]["checkpoint"] = params.curriculum.order[-1].name
    values["generate"]["resolution"] = min(resolution, params.generate.resolution)
    name = params.experiment if arm == params.report.main_arm else f"{params.experiment}-{arm}"
    values |= {"arms": {arm: {}}, "seeds": [seed], "experiment": name}
    values["report"] |= {"main_arm": arm, "subtitle": label}
    return config.parse(values, "what was reached")


def params_of_box(asked: argparse.Namespace) -> Params:
    """The params of a new training."""
    values = config.load(asked.params).model_dump() if asked.params else presets.values(asked.preset or "cars-64")
    if asked.meshes is not None:
        meshes = presets.values("meshes")["dataset"]
        values["dataset"] |= {key: meshes[key] for key in ("kind", "cars", "meshes")}
        values["dataset"] |= {"name": "meshes", "source": str(asked.meshes.resolve())}
        values["experiment"] = f"{values['experiment']}-meshes"
    # snapshots would not fit what is carried; a checkpoint is what a cut box goes on from
    minutes = min(values["training"]["checkpoint_minutes"], asked.save_minutes)
    values["training"] |= {"snapshot_steps": 0, "checkpoint_minutes": minutes}
    return config.parse(values, "params of the box")
