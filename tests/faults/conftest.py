"""The same servers as in the end-to-end tests."""

from tests.e2e.conftest import channel, server, start_server

__all__ = ["channel", "server", "start_server"]
