"""Interface definitions of the gRPC services, compiled to `descriptors.binpb`."""
