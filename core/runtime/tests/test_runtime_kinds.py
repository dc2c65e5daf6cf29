"""What all kinds of input have in common, and the limits of numbers."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from i2i_runtime.image.resizing import SizeRule
from i2i_runtime.kinds.base import InputKind
from i2i_runtime.kinds.image import ImageInput
from i2i_runtime.kinds.instances import InstancesInput
from i2i_runtime.kinds.label import LabelInput
from i2i_runtime.kinds.labels import LabelsInput
from i2i_runtime.kinds.latent import LatentInput
from i2i_runtime.kinds.scalar import MAX_WHOLE, ScalarInput
from i2i_runtime.kinds.segmentation import SegmentationInput
from i2i_runtime.schema.operations import GraphCall, ImageOutput, Operation

NAMES = ("a", "b", "c")
KINDS: tuple[InputKind, ...] = (
    ImageInput(name="x", size=SizeRule(height=2, width=2)),
    InstancesInput(name="x", labels="y", height=2, width=2),
    LabelInput(name="x", names=NAMES),
    LabelsInput(name="x", names=NAMES),
    LatentInput(name="x", shape=(3,)),
    ScalarInput(name="x", default=1, minimum=0, maximum=2),
    SegmentationInput(name="x", height=2, width=2, names=NAMES, has_unknown=True),
)


@pytest.mark.parametrize("value", KINDS, ids=lambda value: value.noun())
@pytest.mark.parametrize("count", [1, 2])
def test_others_are_all_but_the_tensor_itself(value: InputKind, count: int) -> None:
    (form,) = value.forms({"x": value}).values()
    shape = (count, *(axis if isinstance(axis, int) else axis.example for axis in form.axes[1:]))
    zeros = np.zeros(shape, dtype=form.dtype)
    for tensor in (zeros, *value.alternatives(zeros), *value.alternatives(np.ones_like(zeros))):
        others = value.others(tensor)
        assert not any(np.array_equal(other, tensor) for other in others)
        assert all((other.shape, other.dtype) == (tensor.shape, tensor.dtype) for other in others)
    assert value.others(np.ones_like(zeros)), "nothing else is tried"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"default": 3.0}, "outside"),
        ({"default": 0.5, "whole": True}, "a whole number"),
        ({"maximum": MAX_WHOLE + 2.0, "whole": True}, "up to 16777216"),
        ({"minimum": -MAX_WHOLE - 2.0, "whole": True}, "up to 16777216"),
    ],
)
def test_numbers_that_contradict_themselves_are_refused(change: dict[str, object], reason: str) -> None:
    plain: dict[str, object] = {"name": "x", "default": 1.0, "minimum": 0.0, "maximum": 2.0}
    with pytest.raises(ValidationError, match=reason):
        ScalarInput.model_validate(plain | change)


def test_whole_numbers_reach_as_far_as_float32_tells_them_apart() -> None:
    assert ScalarInput(name="x", default=0, minimum=-MAX_WHOLE, maximum=MAX_WHOLE, whole=True).maximum == 2**24
    assert np.float32(MAX_WHOLE) != np.float32(MAX_WHOLE - 1)
    assert np.float32(MAX_WHOLE) == np.float32(MAX_WHOLE + 1)


def test_a_changed_copy_of_an_operation_keeps_nothing_that_followed_from_its_inputs() -> None:
    image = ImageInput(name="photo", size=SizeRule(height=2, width=2))
    step = GraphCall(graph="g", inputs={"x": "photo"}, outputs={"y": "image"})
    first = Operation(name="translate", inputs=(image,), outputs=(ImageOutput(name="image"),), steps=(step,))
    assert set(first.forms) == {"photo"}
    other = first.model_copy(update={"inputs": (image, LatentInput(name="z", shape=(3,)))})
    assert set(other.forms) == set(other.named) == {"photo", "z"}
    assert first.model_copy() == first
