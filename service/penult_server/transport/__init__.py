"""The only place that knows gRPC and the wire types."""
