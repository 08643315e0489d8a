"""Levenberg-Marquardt (damped Gauss-Newton) for a few unknowns whose renderings are cheap.

A latent and a camera are some dozens of numbers, along which errors have long flat valleys: a turned object looks much
like another object. Adam creeps along them, while a solved linearisation goes to their ends in a few steps.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

Residuals = Callable[[Float[Tensor, "guess unknown"]], Float[Tensor, "guess residual"]]
"""What should become 0, of several guesses at once."""
# of each unknown, for differences
DIFFERENCE = 1e-2
EASIER, HARDER = 1 / 3, 4.0
LEAST, MOST = 1e-6, 1e6
EPSILON = 1e-12


def damped_step(
    residuals: Residuals, here: Float[Tensor, "unknown"], free: Float[Tensor, "unknown"], damping: float
) -> tuple[Float[Tensor, "unknown"], float]:
    """The unknowns after one step, which never makes the sum of squares larger, and the damping of the next.

    Only unknowns that are `free` (1, else 0) move. The Jacobian is that of central differences.
    """
    steps = DIFFERENCE * torch.eye(len(here), device=here.device)[free > 0]
    found = residuals(torch.cat((here + steps, here - steps, here[None]))).double()
    (ahead, behind), now = found[:-1].chunk(2), found[-1]
    jacobian = (ahead - behind) / (2 * DIFFERENCE)
    curvature, slope = jacobian @ jacobian.mT, jacobian @ now
    diagonal = curvature.diagonal()
    damped = curvature + torch.diag(damping * diagonal + EPSILON + 1e-9 * diagonal.amax())
    change = torch.zeros_like(here)
    change[free > 0] = -torch.linalg.solve(damped, slope).to(here.dtype)
    there = here + change
    better = residuals(there[None]).double().square().sum() < now.square().sum()
    if bool(better):
        return there, max(LEAST, damping * EASIER)
    return here, min(MOST, damping * HARDER)
