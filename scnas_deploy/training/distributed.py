"""Several processes that train one network: who they are, and what they must agree on.

torchrun starts one process a GPU and tells each its place in environment variables. Every process takes its share
of each batch; the mean of their losses and gradients is that of the whole batch, so that all of them take the same
step and stay equal.
"""

import ctypes
import os
import platform
import re
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import torch
from torch import Tensor, distributed

from scnas_deploy.errors import ConfigError, PeerError
from scnas_deploy.machine import num_cores

_TORCHRUN: Final = {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}
_PATIENCE: Final = timedelta(hours=2)
"""How long a process waits for one that still prepares cases; of one that has died it hears at once."""
_PR_SET_PDEATHSIG: Final = 1
_SOURCE_LINE: Final = re.compile(r"^\[\S+\] ")
"""What the libraries put before their messages."""


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """The processes that train together, seen from one of them; the default is a process by itself."""

    rank: int = 0
    """Number of this process among all."""
    world_size: int = 1
    """Number of processes."""
    local_rank: int = 0
    """Number of this process among those of its machine, and of the GPU it uses."""
    machine_size: int = 1
    """Number of processes on its machine."""

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files and speaks to the user."""
        return self.rank == 0

    @property
    def device(self) -> torch.device:
        """This process's GPU where there is CUDA, else the CPU."""
        return torch.device("cuda", self.local_rank) if torch.cuda.is_available() else torch.device("cpu")

    @property
    def hardware(self) -> str:
        """The devices in words."""
        name = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
        return name if self.world_size == 1 else f"{self.world_size} x {name}"

    def check_batch(self, batch_size: int) -> None:
        """Refuse a batch that does not fall into equal shares.

        Raises:
            ConfigError: If the batch size is no multiple of the number of processes.
        """
        if batch_size % self.world_size:
            raise ConfigError(
                "batch_size",
                expected=f"a multiple of the number of processes, {self.world_size}",
                found=str(batch_size),
                remedy=f"Use a number of processes that divides {batch_size}",
            )

    @torch.no_grad()
    def average(self, tensors: Iterable[Tensor | None]) -> None:
        """Replace each tensor by its mean over the processes, in one message a device.

        Args:
            tensors: The same ones in every process, changed in place; None, a parameter that this step has not
                used, is None in all of them, since all draw the same operations.

        Raises:
            PeerError: If another process is gone.
        """
        if self.world_size == 1:
            return
        by_device: dict[torch.device, list[Tensor]] = {}
        for tensor in tensors:
            if tensor is not None:
                by_device.setdefault(tensor.device, []).append(tensor)
        for group in by_device.values():
            self._average_together(group)

    def largest(self, value: int) -> int:
        """Return the largest value of all processes, for flags and exit statuses.

        Raises:
            PeerError: If another process is gone.
        """
        if self.world_size == 1:
            return value
        shared = torch.tensor([int(value)])
        with _translating():
            distributed.all_reduce(shared, distributed.ReduceOp.MAX)
        return int(shared)

    def barrier(self) -> None:
        """Wait until every process has come here."""
        self.largest(0)

    def _average_together(self, tensors: list[Tensor]) -> None:
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        with _translating():
            distributed.all_reduce(flat)
        flat /= self.world_size
        means = flat.split([tensor.numel() for tensor in tensors])  # type: ignore[no-untyped-call]
        for tensor, mean in zip(tensors, means, strict=True):
            tensor.copy_(mean.view(tensor.shape))


ALONE: Final = World()
"""A process by itself."""


def started_by_torchrun() -> bool:
    """Whether the environment says this process's place among others."""
    return os.environ.keys() >= _TORCHRUN


def check_gpus(number: int) -> None:
    """Refuse more processes on a machine with CUDA than it has GPUs.

    Raises:
        ConfigError: If there are fewer GPUs; without CUDA the processes share the CPU.
    """
    available = torch.cuda.device_count()
    if torch.cuda.is_available() and number > available:
        raise ConfigError(
            "GPUs",
            expected=f"at most {available}, as many as PyTorch finds",
            found=str(number),
            remedy="Ask for fewer, or see CUDA_VISIBLE_DEVICES",
        )


@contextmanager
def open_world() -> Iterator[World]:
    """Join the processes that torchrun has started; a process that it has not started is by itself.

    Raises:
        ConfigError: If the machine has fewer GPUs than processes.
        PeerError: If the others cannot be reached.
    """
    if not started_by_torchrun() or os.environ["WORLD_SIZE"] == "1":
        yield ALONE
        return
    rank, size, local_rank, local_size = (
        int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    )
    check_gpus(local_size)
    end_with_parent()
    _share_machine(local_rank, local_size)
    with _translating():
        distributed.init_process_group(_backend(), timeout=_PATIENCE)
    try:
        yield World(rank=rank, world_size=size, local_rank=local_rank, machine_size=local_size)
    finally:
        distributed.destroy_process_group()


def _backend() -> str:
    """Gradients on GPUs travel by NCCL; what lies on the CPU, as the architecture parameters do, by Gloo."""
    return "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"


def _share_machine(local_rank: int, local_size: int) -> None:
    """Take one GPU, or an equal part of the cores."""
    if torch.cuda.is_available():
        torch.cuda.set_device(local_rank)
    else:
        torch.set_num_threads(max(1, num_cores() // local_size))


def end_with_parent() -> None:
    """Die with the process that started this one instead of writing on into a run that is resumed. Only Linux."""
    if platform.system() == "Linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@contextmanager
def _translating() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise PeerError(
            "training on several processes",
            expected="an answer from every process",
            found=_SOURCE_LINE.sub("", str(error)).splitlines()[0].split(". ")[0],
            remedy="See what ended the other process, then go on with --resume",
        ) from error
