"""Which params a training stage's weights come from."""

from collections.abc import Mapping
from typing import Any

# settings that change how training is watched, not what comes out; snapshots do come out
WATCHING = ("checkpoint_steps", "checkpoint_minutes", "log_steps", "sample_steps")
# the same steps but for the order of sums: whoever was given other devices goes on with what was begun
SHARING = ("devices",)


def training_settings(values: Mapping[str, Any], stage: str) -> tuple[Any, ...]:
    """What decides how `stage` is trained, of an arm's params as a plain mapping.

    Raises:
        KeyError, TypeError: `values` is not a whole params mapping.
    """
    training = {key: value for key, value in values["training"].items() if key not in (*WATCHING, *SHARING)}
    return values["camera"], values["model"], training, values["curriculum"]["stages"][stage], values["dataset"]["flip"]
