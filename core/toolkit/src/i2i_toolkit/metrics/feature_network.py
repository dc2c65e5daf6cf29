"""A network of features that the user brings as an ONNX file, run by onnxruntime on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from i2i_runtime.archive.opening import read_onnx
from i2i_runtime.device import providers as devices
from i2i_runtime.device.cpus import thread_count
from i2i_runtime.errors import BundleError, RunError, UsageError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

_EXPECTED = "an ONNX network: images float32 [n, 3, h, w] in [-1, 1] in, a map of features [n, c, y, x] out first"
_FIX = "export it with a free height and width, up to the layer whose features count"
_IMAGES = 4
"""axes of a batch of images, and of one of features: n, channels, height, width"""


@dataclass(frozen=True, slots=True)
class FeatureNetwork:
    """Images in [-1, 1] to features; which network it was is told by its hash, since numbers depend on it."""

    path: Path
    sha256: str
    session: InferenceSession

    @classmethod
    def load(cls, path: Path, threads: int | None = None) -> FeatureNetwork:
        """Open an ONNX file: images [n, 3, h, w] in [-1, 1] are its input, a map of features its first output.

        Raises UsageError when it is not there or not such a network, DeviceError where onnxruntime is not installed.
        """
        if not path.is_file():
            found = f"{path} is a folder" if path.is_dir() else f"{path} does not exist"
            raise UsageError(found, expected=_EXPECTED)
        try:
            data, _ = read_onnx(path)
        except BundleError as error:
            raise UsageError(error.found, error.expected, error.fix) from error
        ort = devices.onnxruntime()  # brought by the extra i2i-runtime[cpu] or [gpu], which its error names
        options = ort.SessionOptions()
        options.intra_op_num_threads = thread_count(threads)
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what it would log is in the error
        try:
            session = ort.InferenceSession(data, options, providers=[devices.PROVIDERS["cpu"]])
        except devices.failures() as error:
            reason = str(error).splitlines()[0]
            raise UsageError(f"onnxruntime cannot load {path}: {reason}", expected=_EXPECTED) from error
        _check(path, session)
        return cls(path, sha256(data).hexdigest(), session)

    def __call__(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c y x"]:
        """Features of `images`.

        Raises UsageError when they have a size that the network does not take, or its output is no map of features,
        RunError when it fails.
        """
        (value,), output = self.session.get_inputs(), self.session.get_outputs()[0]
        _check_fits(self.path, value.shape, images.shape)
        feed = np.ascontiguousarray(images.detach().cpu().numpy(), dtype=np.float32)
        try:
            results = self.session.run([output.name], {value.name: feed})
        except devices.failures() as error:
            reason = str(error).splitlines()[0]
            size = f"{feed.shape[3]}x{feed.shape[2]}"
            raise RunError(f"{self.path} failed on an image of {size} pixels: {reason}", fix=_FIX) from error
        features = np.asarray(results[0])
        if features.ndim != _IMAGES or not np.issubdtype(features.dtype, np.floating):
            raise UsageError(
                f"{self.path} gives {output.name!r} as {features.dtype}{list(features.shape)}", _EXPECTED, _FIX
            )
        return torch.from_numpy(features.astype(np.float32))


def _check(path: Path, session: InferenceSession) -> None:
    inputs = session.get_inputs()
    described = ", ".join(f"{value.name} {value.type}{value.shape}" for value in inputs)
    fits = len(inputs) == 1 and inputs[0].type == "tensor(float)" and len(inputs[0].shape) == _IMAGES
    if not fits or (isinstance(inputs[0].shape[1], int) and inputs[0].shape[1] != 3):  # noqa: PLR2004 - RGB
        raise UsageError(found=f"{path} takes {described or 'no input'}", expected=_EXPECTED, fix=_FIX)


def _check_fits(path: Path, wanted: Sequence[object], given: Sequence[int]) -> None:
    """Check that a side that the file fixes is that of the images. Raises UsageError."""
    if any(isinstance(side, int) and side != have for side, have in zip(wanted, given, strict=True)):
        raise UsageError(
            found=f"{path} takes images of the shape {list(wanted)} only, and these are {list(given)}",
            expected="a network for images of any size: they are not resized, which would change their features",
            fix=_FIX,
        )
