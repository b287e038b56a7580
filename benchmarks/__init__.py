"""How fast the server is beside the loop that a user would write: `python -m benchmarks`."""
