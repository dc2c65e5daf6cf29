"""Translation in a style that is drawn, or taken from another image (BicycleGAN, StarGAN v2, MUNIT, DRIT++, FUNIT)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from i2i_runtime.schema.operations import (
    GraphCall,
    ImageInput,
    ImageOutput,
    Input,
    Interpolation,
    LabelInput,
    Operation,
    VectorOutput,
)
from i2i_toolkit.operations.inputs import same

TRANSLATED = ImageOutput(name="image", summary="the translated image")


@dataclass(frozen=True, slots=True, kw_only=True)
class StyledTranslation:
    """What the operations of such a model share.

    A graph makes the translation of an image and a style. The style is drawn (a latent, perhaps through graphs that map
    it) or encoded from an image that shows it.
    """

    image: ImageInput
    style: VectorOutput
    """the value by whose name graphs make and take the style"""
    generate: Sequence[GraphCall]
    """image and style -> translation"""
    interpolation: Interpolation
    translated: ImageOutput = TRANSLATED

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

    def translate_like(
        self, summary: str, encoder: str, reference: ImageInput, labels: Sequence[LabelInput] = ()
    ) -> Operation:
        """`translate_like`: in the style of a reference, which the graph `encoder` takes as "image"."""
        return Operation(
            name="translate_like",
            summary=summary,
            inputs=(self.image, reference, *labels),
            outputs=(self.translated, self.style),
            steps=(self._encoding(encoder, reference, labels), *self.generate),
            interpolation=self.interpolation,
        )

    def encode(
        self, summary: str, encoder: str, image: ImageInput, labels: Sequence[LabelInput] = (), *also: VectorOutput
    ) -> Operation:
        """`encode`: the style of an image, and what `also` comes of its encoder under the same names."""
        return Operation(
            name="encode",
            summary=summary,
            inputs=(image, *labels),
            outputs=(self.style, *also),
            steps=(self._encoding(encoder, image, labels, *also),),
        )

    def _encoding(
        self, encoder: str, image: ImageInput, labels: Sequence[LabelInput], *also: VectorOutput
    ) -> GraphCall:
        inputs = {"image": image.name, **same(*(label.name for label in labels))}
        return GraphCall(graph=encoder, inputs=inputs, outputs=same(self.style.name, *(value.name for value in also)))
