"""One process or many: FSDP2 under torchrun, and whole tensors out of shards."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import NoReturn

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor

from aim_policy.config import ConfigError


class Processes:
    """The processes of a run, as torchrun's environment tells them.

    Attributes:
        count: how many there are.
        rank: number of this one.
        device: that this one computes on.
    """

    def __init__(self, device: str) -> None:
        self.count = int(os.environ.get('WORLD_SIZE', '1'))
        self.rank = int(os.environ.get('RANK', '0'))
        if self.count > 1 and device == 'cuda':
            device = f'cuda:{os.environ["LOCAL_RANK"]}'
            torch.cuda.set_device(device)
        self.device = torch.device(device)
        self._mesh: DeviceMesh | None = None
        if self.count > 1:
            dist.init_process_group('nccl' if self.device.type == 'cuda' else 'gloo')
            self._mesh = init_device_mesh(self.device.type, (self.count,))

    def close(self) -> None:
        """Leave the group."""
        if self.count > 1:
            with suppress(ValueError):
                dist.destroy_process_group()

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """Inside, the first process goes ahead, the others follow when it has left."""
        if self.count > 1 and self.rank > 0:
            dist.barrier()
        yield
        if self.count > 1 and self.rank == 0:
            dist.barrier()

    def part(self, batch: int) -> slice:
        """The share of a batch that this process gets.

        Raises:
            ConfigError: it cannot be shared evenly.
        """
        if batch % self.count:
            raise ConfigError(f'batch is {batch}, expected a multiple of {self.count} processes')
        size = batch // self.count
        return slice(self.rank * size, (self.rank + 1) * size)

    def shard(self, module: nn.Module, *methods: str) -> None:
        """Spread parameters, gradients and optimiser states over the processes.

        Args:
            module: stays whole while its forward and backward pass run.
            methods: names of further methods that need the whole parameters.
        """
        if self._mesh is None:
            return
        fully_shard(module, mesh=self._mesh, reshard_after_forward=False)
        for method in methods:
            register_fsdp_forward_method(module, method)

    def mean(self, values: Tensor) -> Tensor:
        """Average over the processes."""
        if self.count > 1:
            dist.all_reduce(values)
            values /= self.count
        return values


def end_process(code: int) -> NoReturn:
    """End this process, one of many or not.

    Threads of a gloo group outlive it, and abort the process when they drop tensors of an
    interpreter that is being taken down: one of many ends without that.
    """
    if int(os.environ.get('WORLD_SIZE', '1')) == 1:
        sys.exit(code)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def whole(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Put shards together; every process must call it."""
    return {
        name: tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
        for name, tensor in tensors.items()
    }


def sharded_like(tensor: Tensor, model: Tensor) -> Tensor:
    """Spread a whole tensor as another one of its shape is spread."""
    if isinstance(model, DTensor) and tensor.shape == model.shape:
        return distribute_tensor(tensor.to(model.device), model.device_mesh, model.placements)
    return tensor
