"""A store of generated images, from which a discriminator also sees older ones (Shrivastava et al. 2017).

CycleGAN's way of using it. The store is a module with buffers and no parameters: a trainer that has it among its
networks finds it in its checkpoints again, which the release does not.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn


class ImagePool(nn.Module):
    """Up to `size` images of one shape, and those that wait for the discriminator.

    A generator's phase comes before the discriminator's, and moves the generator. So it puts its images in, and the
    discriminator's phase takes out what comes back for them.

    Args:
        size: how many images are kept; 0 gives back what was put in.
        waiting: how many images may be put in before they are taken out: the batch size.
        shape: channels, height and width of an image.
    """

    images: Tensor
    stored: Tensor
    queue: Tensor
    queued: Tensor

    def __init__(self, size: int, waiting: int, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("images", torch.zeros(size, *shape))
        self.register_buffer("stored", torch.zeros((), dtype=torch.int64))
        self.register_buffer("queue", torch.zeros(waiting, *shape))
        self.register_buffer("queued", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def put(self, images: Float[Tensor, "b c h w"]) -> None:
        """Exchange images, and keep the result for `take`."""
        first = int(self.queued)
        self.queue[first : first + len(images)] = self.exchange(images)
        self.queued += len(images)

    @torch.no_grad()
    def take(self, count: int) -> Float[Tensor, "b c h w"]:
        """Return the `count` images that have waited longest."""
        taken = self.queue[:count].clone()
        self.queue.copy_(self.queue.roll(-count, 0))
        self.queued -= count
        return taken

    @torch.no_grad()
    def exchange(
        self, images: Float[Tensor, "b c h w"], slots: Iterator[int | None] | None = None
    ) -> Float[Tensor, "b c h w"]:
        """Give an image back for each one, in order, without gradients.

        While the pool is not full, an image is stored and given back. Then, each time with probability 1/2, it takes
        the place of a stored one, which is given back instead; otherwise it is given back itself.

        `slots` decides instead of chance: for each image that finds a full pool the place to exchange, or None.
        """
        if self.size == 0:
            return images
        choices = slots if slots is not None else self._drawn()
        returned: list[Tensor] = []
        for image in images.to(self.images.dtype):
            position = int(self.stored)
            if position < self.size:
                self.images[position] = image
                self.stored += 1
                returned.append(image)
            elif (slot := next(choices)) is None:
                returned.append(image)
            else:
                returned.append(self.images[slot].clone())
                self.images[slot] = image
        return torch.stack(returned)

    def _drawn(self) -> Iterator[int | None]:
        """Drawn from torch's generator, which the engine seeds for every phase."""
        while True:
            swap = torch.rand(()).item() > 0.5  # noqa: PLR2004 - probability 1/2
            yield int(torch.randint(self.size, ())) if swap else None
