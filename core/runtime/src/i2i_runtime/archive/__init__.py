"""Bundles and .onnx files, opened and read without trusting them."""
