"""The sandbox's identity server."""
