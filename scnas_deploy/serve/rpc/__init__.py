"""gRPC: the server's side of ``scnas.v1.Segmentation``, and a client."""
