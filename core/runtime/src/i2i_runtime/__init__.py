"""Run image-to-image bundles with onnxruntime, without torch.

    import i2i_runtime as i2i

    bundle = i2i.load("anime-onnx")
    bundle.translate("me.jpg").save("out.png")

Importing this package loads nothing heavy; pydantic, numpy, Pillow and onnxruntime come in when they are needed.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
