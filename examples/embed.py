"""An app's whole use of a model: needs `pip install i2i-runtime[cpu]` and a bundle, no torch."""

import sys

import i2i_runtime as i2i

bundle, image, result = sys.argv[1:]
i2i.load(bundle).translate(image).save(result)
