"""What the computation runs on: providers, CPUs, memory, onnxruntime sessions, and what the doctor finds."""
