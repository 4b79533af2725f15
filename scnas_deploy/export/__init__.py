"""Export: ONNX, the parity gate, the canary, and the package writer."""
