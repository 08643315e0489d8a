"""Several processes that train one run: each has a part of every batch, and together they take one device's steps.

Every rank draws the random numbers of the whole batch and keeps those of its part, adds up the gradients of all
parts, and moves its own copy of the weights, which so stays equal to the others' bit by bit. What comes out is that of
one device with the whole batch, but for the order in which numbers are added up.
"""

import contextlib
import ctypes
import datetime
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, distributed, nn
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from pigan.errors import PiganError
from pigan.training.rendezvous import LOOPBACK, Place
from pigan.training.state import ADAM_MOMENTS, Counters, TrainingState

# numbers that are sent at a time: bounds the memory of their copy
BUCKET = 1 << 24
# of a collective operation: the others may wait while the first rank saves, or draws samples on a slow processor
TIMEOUT = datetime.timedelta(minutes=30)
# for all ranks to be there
JOIN = datetime.timedelta(minutes=5)


PR_SET_PDEATHSIG = 1


class LostRank(PiganError):
    """Another rank stopped; its own error says why."""


@dataclass(frozen=True)
class Ranks:
    """The processes that train together, and which of them this one is."""

    rank: int = 0
    size: int = 1
    local_size: int = 1
    """How many of them share this machine, and its memory."""

    @property
    def alone(self) -> bool:
        """One process has the whole batch; nothing is sent to anyone."""
        return self.size == 1

    @property
    def first(self) -> bool:
        """The rank that writes files and says how far training is."""
        return self.rank == 0

    def part(self, batch: int) -> slice:
        """Which of a batch's images are this rank's: consecutive ones; parts differ in length by one at most."""
        each, more = divmod(batch, self.size)
        start = self.rank * each + min(self.rank, more)
        return slice(start, start + each + (self.rank < more))

    def share(self, mean: Float[Tensor, ""], batch: int) -> Float[Tensor, ""]:
        """From the mean over this rank's part of a batch to what it adds to the mean over the batch."""
        if self.alone:
            return mean
        part = self.part(batch)
        return mean * ((part.stop - part.start) / batch)

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Replaces each tensor by its sum over all ranks; all are of one type and device."""
        self._in_buckets(tensors, distributed.all_reduce)

    def gathered(self, values: Float[Tensor, "part"], batch: int) -> Float[Tensor, "batch"]:
        """The values of the whole batch, of which `values` is this rank's part; without gradients."""
        if self.alone:
            return values.detach()
        whole = values.new_zeros(batch)
        whole[self.part(batch)] = values.detach()
        # adding zeros keeps every bit
        self.add([whole])
        return whole

    def agreed(self, number: int) -> int:
        """The largest of the ranks' numbers, which wait for each other here; a device does not wait for its work."""
        if self.alone:
            return number
        largest = torch.tensor(number)
        with self._together():
            distributed.all_reduce(largest, distributed.ReduceOp.MAX)
        return int(largest)

    def wait(self) -> None:
        """Returns when all ranks are here."""
        self.agreed(0)

    def copy(self, tensors: Sequence[Tensor]) -> None:
        """Gives all ranks the first one's values; all tensors are of one type and device."""
        self._in_buckets(tensors, partial(distributed.broadcast, src=0))

    def told(self, value: Any) -> Any:
        """The first rank's `value`, which JSON can hold."""
        if self.alone:
            return value
        text = json.dumps(value).encode() if self.first else b""
        data = torch.zeros(self.agreed(len(text)), dtype=torch.uint8)
        if self.first:
            data = torch.frombuffer(bytearray(text), dtype=torch.uint8)
        self.copy([data])
        return json.loads(bytes(data.tolist()))

    def _in_buckets(self, tensors: Sequence[Tensor], exchange: Callable[[Tensor], object]) -> None:
        """Puts what `exchange` makes of the tensors, several at a time as one, in their places."""
        if self.alone:
            return
        for bucket in _buckets(tensors):
            together = torch.cat([tensor.reshape(-1) for tensor in bucket])
            with self._together():
                exchange(together)
            parts = together.split([tensor.numel() for tensor in bucket])
            torch._foreach_copy_(bucket, [part.view_as(t) for part, t in zip(parts, bucket, strict=True)])

    @contextlib.contextmanager
    def _together(self) -> Iterator[None]:
        try:
            yield
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise LostRank(
                f"rank {self.rank} of {self.size} lost the others, one of which has stopped and says why; the last "
                "checkpoint stands, run again to go on"
            ) from error


ALONE = Ranks()


@contextlib.contextmanager
def joined(place: Place | None, device: torch.device) -> Iterator[Ranks]:
    """The ranks that `place` tells of, connected: NCCL between GPUs, gloo between processors; None: this one alone.

    On one machine nothing listens but on its loopback interface.

    Raises:
        PiganError: the others did not come in time.
    """
    if place is None or place.size == 1:
        yield ALONE
        return
    if place.started_by == "torchrun":
        # killed, it would leave its processes behind
        stop_with(os.getppid())
    if place.one_machine:
        for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
            os.environ.setdefault(name, _loopback_interface())
    # processors agree through gloo also where GPUs add up gradients through NCCL
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    try:
        distributed.init_process_group(
            backend,
            # torchrun's variables tell where its store is
            init_method="env://" if place.started_by == "torchrun" else None,
            store=None if place.started_by == "torchrun" else _store(place),
            rank=place.rank,
            world_size=place.size,
            timeout=TIMEOUT,
            device_id=device if device.type == "cuda" else None,
        )
    except (RuntimeError, OSError, ValueError) as error:
        raise PiganError(
            f"rank {place.rank} of {place.size} cannot join the others at {place.address}:{place.port}; "
            f"set MASTER_ADDR and MASTER_PORT to where rank 0 can be reached ({str(error).splitlines()[0]})"
        ) from error
    yield Ranks(place.rank, place.size, place.local_size)
    # not after an error: it would wait for ranks that are gone
    distributed.destroy_process_group()


def same_state(ranks: Ranks, state: TrainingState) -> None:
    """Gives all ranks the first one's state, so that only that one reads files."""
    if ranks.alone:
        return
    moments = {
        prefix: [name for name, parameter in module.named_parameters() if optimizer.state.get(parameter)]
        for prefix, (optimizer, module) in state.optimizers().items()
    }
    told = ranks.told({"counters": vars(state.counters), "scaler": state.scaler.state_dict(), "moments": moments})
    state.counters = Counters(**told["counters"])
    state.scaler.load_state_dict(told["scaler"])
    for module in state.modules().values():
        ranks.copy(list(module.state_dict().values()))
    for prefix, (optimizer, module) in state.optimizers().items():
        named = dict(module.named_parameters())
        if not ranks.first:
            optimizer.state.clear()
        for name in told["moments"][prefix]:
            parameter = named[name]
            if not ranks.first:
                zero = torch.zeros((), dtype=torch.float32, device=parameter.device)
                optimizer.state[parameter] = {
                    "step": zero,
                    **{moment: torch.zeros_like(parameter) for moment in ADAM_MOMENTS if moment != "step"},
                }
        for moment in ADAM_MOMENTS:
            ranks.copy([optimizer.state[named[name]][moment] for name in told["moments"][prefix]])


def add_parts(ranks: Ranks, module: nn.Module, measured: dict[str, Tensor]) -> dict[str, Tensor]:
    """Adds up the gradients of `module` over the ranks, and what they measured of their parts, which it returns.

    Each is sent once a step; a gradient that is not finite on one rank is so on all, which then agree to skip the step.
    """
    if ranks.alone:
        return measured
    gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
    numbers = torch.stack([value.detach().to(gradients[0].dtype) for value in measured.values()])
    ranks.add([*gradients, numbers])
    return dict(zip(measured, numbers.unbind(), strict=True))


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """The tensors in their order, so many at a time that they hold BUCKET numbers, or one that holds more."""
    bucket: list[Tensor] = []
    for tensor in tensors:
        if bucket and sum(other.numel() for other in bucket) + tensor.numel() > BUCKET:
            yield bucket
            bucket = []
        bucket.append(tensor)
    if bucket:
        yield bucket


def stop_with(parent: int) -> None:
    """Has the system tell this process to stop when the one that started it is gone (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            sys.exit(1)


def _store(place: Place) -> distributed.Store:
    """Where the ranks find each other: kept by pigan, or by the first of the tasks that srun started."""
    keeps = place.started_by == "srun" and place.rank == 0
    if keeps and place.address == LOOPBACK:
        return loopback_store(place.port)
    return TCPStore(place.address, place.port, None, keeps, JOIN, wait_for_workers=False)


def loopback_store(port: int = 0) -> TCPStore:
    """A store that only this machine can reach; port 0: a free one."""
    # PyTorch's own socket would listen on every interface
    with socket.create_server((LOOPBACK, port)) as listening:
        port = listening.getsockname()[1]
        handle = listening.detach()
    return TCPStore(LOOPBACK, port, None, True, JOIN, wait_for_workers=False, master_listen_fd=handle)


def _loopback_interface() -> str:
    """Its name: lo on Linux, lo0 on macOS."""
    return next((name for _, name in socket.if_nameindex() if name in ("lo", "lo0")), "lo")
