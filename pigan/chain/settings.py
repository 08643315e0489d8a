"""Which params a training stage's weights come from."""

from collections.abc import Mapping
from typing import Any

# settings that change how training is watched, not what comes out; snapshots do come out
WATCHING = ("checkpoint_steps", "checkpoint_minutes", "log_steps", "sample_steps")
# the same steps but for the order of sums: whoever was given other devices, or less memory, goes on with what was begun
SHARING = ("devices", "memory_limit_gb")


def learning_settings(training: Mapping[str, Any]) -> dict[str, Any]:
    """Of the section `training`, what weights depend on by more than the order of sums."""
    return {key: value for key, value in training.items() if key not in (*WATCHING, *SHARING)}


def training_settings(values: Mapping[str, Any], stage: str) -> tuple[Any, ...]:
    """What decides how `stage` is trained, of an arm's params as a plain mapping.

    Raises:
        KeyError, TypeError: `values` is not a whole params mapping.
    """
    training, stages = learning_settings(values["training"]), values["curriculum"]["stages"]
    return values["camera"], values["model"], training, stages[stage], values["dataset"]["flip"]
