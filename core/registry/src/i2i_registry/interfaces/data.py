"""The data interface: how training data lie on disk, and how samples are drawn from them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

from i2i_runtime.records import Record

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

R = TypeVar("R", bound=Record)
Tensors = Mapping[str, "Tensor"]


@runtime_checkable
class DataSource(Protocol):
    """Training samples as a pure function of their position, which is what makes a resumed run exact."""

    def draw(self, position: int) -> Tensors:
        """Sample number `position` (0, 1, ...), augmented; no batch axis. Same position and seed, same bits."""
        ...

    def preview(self, count: int) -> Tensors:
        """Return fixed samples with a batch axis, without augmentation, for the sample grid."""
        ...

    def describe(self) -> Mapping[str, int]:
        """Return what was found: name of a part -> number of images."""
        ...


class DataLayout(ABC):
    """A way in which training data lie on disk: recognises them, opens them and draws an example of them.

    What the class says is true of every paper that learns from such data; an instance also holds what one training
    makes of the files (sizes, crops, channels). The toolkit's layouts are frozen dataclasses.
    """

    @classmethod
    @abstractmethod
    def recognises(cls, root: Path) -> bool:
        """Whether a file or folder has this layout, told from names and as few images as possible. Never raises."""

    @classmethod
    def complete(cls, config: R, root: Path) -> R:  # noqa: ARG003 - for layouts that decide something
        """Copy `config` with what the data at `root` decide, the names of domains for instance.

        A folder of another layout changes nothing: `open` says what is wrong with it. The default changes nothing.
        """
        return config

    @abstractmethod
    def open(self, root: Path, seed: int) -> DataSource:
        """Open the training data below `root`; `seed` decides order and augmentation.

        Raises LayoutError when `root` is not laid out like this, or holds images that this training cannot use.
        """

    @abstractmethod
    def write_example(self, root: Path) -> None:
        """Write a tiny, drawn data set of this layout below `root`, for tests and first tries."""
