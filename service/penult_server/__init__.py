"""The Penult server: transfer learning as a service."""
