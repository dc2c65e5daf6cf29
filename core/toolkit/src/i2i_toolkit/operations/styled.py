"""Translation in a style that is drawn, or taken from another image (BicycleGAN, StarGAN v2, MUNIT, DRIT++, FUNIT)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from i2i_runtime.kinds.image import ImageInput
from i2i_runtime.kinds.label import LabelInput
from i2i_runtime.kinds.references import ReferencesInput
from i2i_runtime.schema.operations import GraphCall, ImageOutput, Input, Interpolation, Operation, VectorOutput
from i2i_toolkit.operations.inputs import same_names

Shown: TypeAlias = ImageInput | ReferencesInput
"""One image that shows a style, or several of which an encoder takes the mean of their codes (FUNIT)."""

TRANSLATED = ImageOutput(name="image", summary="the translated image")


@dataclass(frozen=True, slots=True, kw_only=True)
class StyledTranslation:
    """What the operations of such a model share.

    A graph makes the translation of an image and a style. The style is drawn (a latent, perhaps through graphs that map
    it) or encoded from an image that shows it, or from several.
    """

    image: ImageInput
    style: VectorOutput
    """the value by whose name graphs make and take the style"""
    generate: Sequence[GraphCall]
    """image and style -> translation"""
    interpolation: Interpolation
    translated: ImageOutput = TRANSLATED
    encoders: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    """graph that takes an "image" and gives its style -> the classes for which it does (`GraphCall.when`); a graph for
    all classes takes the labels themselves. Of a `ReferencesInput` the "image" is [n, references, c, h, w]"""

    def translate(self, summary: str, drawn: Sequence[Input], mapping: Sequence[GraphCall] = ()) -> Operation:
        """`translate` in a style that comes from the `drawn` inputs.

        Without a `mapping` one of them is the style itself; else it is also an output.
        """
        return Operation(
            name="translate",
            summary=summary,
            inputs=(self.image, *drawn),
            outputs=(self.translated, self.style) if mapping else (self.translated,),
            steps=(*mapping, *self.generate),
            interpolation=self.interpolation,
        )

    def translate_like(self, summary: str, reference: Shown, labels: Sequence[LabelInput] = ()) -> Operation:
        """`translate_like`: in the style of a reference, or the mean style of several."""
        return Operation(
            name="translate_like",
            summary=summary,
            inputs=(self.image, reference, *labels),
            outputs=(self.translated, self.style),
            steps=(*self._encoding(reference, labels), *self.generate),
            interpolation=self.interpolation,
        )

    def encode(self, summary: str, image: Shown, labels: Sequence[LabelInput] = (), *also: VectorOutput) -> Operation:
        """`encode`: the style of an image or of several, and what `also` comes of its encoder under the same names."""
        return Operation(
            name="encode",
            summary=summary,
            inputs=(image, *labels),
            outputs=(self.style, *also),
            steps=self._encoding(image, labels, *also),
        )

    def _encoding(self, image: Shown, labels: Sequence[LabelInput], *also: VectorOutput) -> tuple[GraphCall, ...]:
        outputs = same_names(self.style.name, *(value.name for value in also))
        return tuple(
            GraphCall(
                graph=graph,
                inputs={"image": image.name, **same_names(*(label.name for label in labels if label.name not in when))},
                outputs=outputs,
                when=dict(when),
            )
            for graph, when in self.encoders.items()
        )
