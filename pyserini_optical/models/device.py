"""Where models run, and whether bfloat16 pays there."""

from __future__ import annotations

import platform
from contextlib import AbstractContextManager
from pathlib import Path

import torch

from pyserini_optical.errors import InputError


def choose_device(name: str | None = None) -> str:
    """Give the device to use: the one named, else the first CUDA GPU, else the CPU.

    Raises
    ------
    InputError
        There is no such device here.
    """
    if name is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=name).cpu()
    except (RuntimeError, AssertionError, NotImplementedError):
        raise InputError(f"no device {name!r} here", remedy="leave the device out, or name cpu") from None
    return name


def has_fast_bfloat16(device: str) -> bool:
    """Tell whether the device computes in bfloat16 natively: elsewhere it is emulated and slower than float32."""
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported())
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "amx_bf16" in flags or "avx512_bf16" in flags


def machine(device: str) -> dict[str, str]:
    """Say for a manifest what the last bits of a computation hang on, besides its input and the packages' versions."""
    cuda = device.startswith("cuda")
    return {
        "device": torch.cuda.get_device_name(device) if cuda else device,
        "processor": platform.machine(),
        "precision": "bfloat16" if has_fast_bfloat16(device) else "float32",
        "threads": str(torch.get_num_threads()),
    }


def autocast(device: str) -> AbstractContextManager[object]:
    """Compute in bfloat16 inside the block where that is fast, in float32 elsewhere."""
    return torch.autocast(device.split(":")[0], dtype=torch.bfloat16, enabled=has_fast_bfloat16(device))
