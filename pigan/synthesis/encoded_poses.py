"""What the discriminator's encoder head says of camera poses, beside the truth."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, UInt8

from pigan.config import Params
from pigan.data.store import Prepared, spread
from pigan.models.discriminator import Discriminator
from pigan.synthesis.history import stage_resolution
from pigan.training.state import load_discriminator

REAL_VIEWS = 1024
IMAGES_A_PASS = 128


def write_encoded_poses(
    checkpoint: Path, params: Params, prepared: Prepared, out: Path, device: torch.device
) -> str | None:
    """pose.npz in `out`, of the evaluation images there and of held-out images with cameras; or why there is none.

    Pitch and yaw in radians; without cameras or held-out images the real part has no rows.

    Raises:
        PiganError: no checkpoint, or one of another architecture.
    """
    if not params.model.discriminator.encoder:
        return "model.discriminator.encoder is false"
    if params.training.pose_weight == 0:
        return "training.pose_weight is 0, so the encoder never learned poses"
    judge = load_discriminator(checkpoint, params, device)
    made_at = params.generate.resolution
    # not above what it was trained at
    side = min(stage_resolution(params), made_at)
    if side not in judge.sides:
        return f"generate.resolution {made_at} is no side that the discriminator takes"
    with np.load(out / "cameras.npz") as cameras:
        generated_true = np.stack([cameras["pitch"], cameras["yaw"]], 1)
    known, rows = prepared.cameras, spread(prepared.held_out, REAL_VIEWS)
    if known is None:
        rows = rows[:0]
        real_true = np.empty((0, 2), np.float32)
    else:
        real_true = np.stack([known.pitch, known.yaw], 1)[rows].astype(np.float32)
    np.savez(
        out / "pose.npz",
        generated=encoded_poses(judge, np.load(out / f"images_{made_at}.npy"), side),
        generated_true=generated_true,
        real=encoded_poses(judge, prepared.images(side)[rows], side),
        real_true=real_true,
    )
    return None


@torch.no_grad()
def encoded_poses(
    judge: Discriminator, images: UInt8[np.ndarray, "image h h 3"], side: int
) -> Float32[np.ndarray, "image 2"]:
    """Pitch and yaw (radians) that the encoder head sees in images, which larger ones than `side` are shrunk to."""
    device = next(judge.parameters()).device
    said = [np.empty((0, 2), np.float32)]
    for start in range(0, len(images), IMAGES_A_PASS):
        some = torch.from_numpy(np.ascontiguousarray(images[start : start + IMAGES_A_PASS])).to(device)
        pixels = some.permute(0, 3, 1, 2).float() / 127.5 - 1
        if pixels.shape[-1] != side:
            pixels = torch.nn.functional.interpolate(pixels, (side, side), mode="bilinear", antialias=True)
        pose = judge(pixels).pose
        said.append(pose.cpu().numpy())
    return np.concatenate(said)
