"""Where and how precisely training computes, decided through HF accelerate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, cast

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import broadcast
from torch import Tensor

from i2i_registry.errors import TrainingError
from i2i_runtime.errors import DeviceError

TrainingDevice = Literal["auto", "cpu", "cuda"]
TrainingPrecision = Literal["fp32", "bf16", "fp16"]

_ACCELERATE_NAMES = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}


def open_accelerator(
    device: TrainingDevice = "auto", precision: TrainingPrecision = "fp32", processes: int = 1
) -> Accelerator:
    """Return the Accelerator of this process.

    Raises DeviceError when the device or the precision cannot be had here, and TrainingError when the launcher started
    another number of processes than `processes`.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            found="no usable CUDA device: torch.cuda.is_available() is False",
            expected="an NVIDIA GPU with its driver, and a torch built for CUDA",
            fix="train with --device cpu, or install the CUDA build of torch",
        )
    on_cpu = device == "cpu" or not torch.accelerator.is_available()
    if precision == "fp16" and on_cpu:
        raise DeviceError(
            found="fp16 training on a CPU",
            expected="a GPU for fp16",
            fix="use --precision bf16 or fp32",
        )
    if not torch.distributed.is_initialized():
        # accelerate keeps device and precision in a process-wide singleton; a second run may want others.
        # There is no public way to reset it.
        AcceleratorState._reset_state(reset_partial_state=True)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    accelerator = Accelerator(cpu=on_cpu, mixed_precision=_ACCELERATE_NAMES[precision])
    if accelerator.num_processes != processes:
        raise TrainingError(
            found=f"{accelerator.num_processes} process(es) run",
            expected=f"{processes}, as the run was set up",
            fix="start it with `i2i-registry train --resume RUN`, which starts the processes itself",
        )
    return accelerator


def close_processes() -> None:
    """Leave the process group, where there is one."""
    if torch.distributed.is_initialized():
        PartialState().destroy_process_group()


def broadcast_from_first(tensors: Iterable[Tensor]) -> None:
    """Overwrite each tensor, in place, with the first process's."""
    with torch.no_grad():
        for tensor in tensors:
            tensor.copy_(broadcast(tensor.detach().clone(), from_process=0))


def average_gradients(accelerator: Accelerator, parameters: Sequence[Tensor]) -> None:
    """Replace gradients by their mean over processes: one exchange of one flat buffer per data type.

    The same parameters must have a gradient in every process.
    """
    if accelerator.num_processes == 1:
        return
    by_type: dict[torch.dtype, list[Tensor]] = {}
    for parameter in parameters:
        if parameter.grad is not None:
            by_type.setdefault(parameter.grad.dtype, []).append(parameter.grad)
    for gradients in by_type.values():
        flat = mean_over_processes(accelerator, torch.cat([gradient.reshape(-1) for gradient in gradients]))
        parts = flat.split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))


def mean_over_processes(accelerator: Accelerator, tensor: Tensor) -> Tensor:
    """Return the mean of a tensor of one shape over all processes, the same in each."""
    return cast("Tensor", accelerator.reduce(tensor, reduction="mean"))
