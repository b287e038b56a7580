"""Commands of the operator beside `serve`: short, without PyTorch, and safe while a server runs."""
