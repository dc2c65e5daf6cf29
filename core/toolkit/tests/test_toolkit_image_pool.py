"""The store of generated images: what comes back, and that a checkpoint holds it."""

from __future__ import annotations

import torch
from torch import Tensor

from i2i_toolkit.image_pool import ImagePool


def image(value: float) -> Tensor:
    return torch.full((1, 1, 1, 1), value)


def values(images: Tensor) -> list[float]:
    return images.flatten().tolist()


def test_until_it_is_full_an_image_comes_back_and_is_kept() -> None:
    pool = ImagePool(2, 1, (1, 1, 1))

    assert [values(pool.exchange(image(v), iter([]))) for v in (1.0, 2.0)] == [[1.0], [2.0]]
    assert values(pool.images) == [1.0, 2.0]


def test_a_full_pool_gives_the_stored_image_for_a_new_one_or_the_new_one_itself() -> None:
    pool = ImagePool(2, 1, (1, 1, 1))
    slots = iter([1, None, 1])
    returned = [values(pool.exchange(image(v), slots))[0] for v in (1.0, 2.0, 3.0, 4.0, 5.0)]

    assert returned == [1.0, 2.0, 2.0, 4.0, 3.0]
    assert values(pool.images) == [1.0, 5.0]


def test_a_pool_of_none_gives_back_what_was_put_in() -> None:
    pool = ImagePool(0, 2, (1, 1, 1))
    pool.put(torch.tensor([1.0, 2.0]).reshape(2, 1, 1, 1))

    assert values(pool.take(2)) == [1.0, 2.0]


def test_images_wait_in_the_order_they_were_put_in() -> None:
    pool = ImagePool(10, 3, (1, 1, 1))
    for value in (1.0, 2.0, 3.0):
        pool.put(image(value))

    assert [values(pool.take(1)), values(pool.take(2))] == [[1.0], [2.0, 3.0]]
    pool.put(image(4.0))
    assert values(pool.take(1)) == [4.0]


def test_half_of_the_images_are_exchanged_and_every_place_is_drawn() -> None:
    torch.manual_seed(0)
    pool = ImagePool(4, 1, (1, 1, 1))
    returned = [values(pool.exchange(image(float(v))))[0] for v in range(1004)]

    exchanged = sum(value != given for given, value in enumerate(returned))
    assert 430 < exchanged < 570  # 500 expected, standard deviation 16
    assert all(value > 900 for value in values(pool.images))


def test_one_that_is_loaded_goes_on_as_if_nothing_had_happened() -> None:
    first, second = ImagePool(3, 1, (1, 1, 1)), ImagePool(3, 1, (1, 1, 1))
    torch.manual_seed(1)
    for value in range(8):
        first.exchange(image(float(value)))
    first.put(image(8.0))
    second.load_state_dict(first.state_dict())
    ends: list[list[float]] = []
    for pool in (first, second):
        torch.manual_seed(2)
        ends.append([*values(pool.take(1)), *(values(pool.exchange(image(float(v))))[0] for v in range(9, 30))])

    assert ends[0] == ends[1]


def test_it_keeps_no_gradients() -> None:
    pool = ImagePool(1, 1, (1, 1, 1))

    assert not pool.exchange(image(1.0).requires_grad_()).requires_grad
