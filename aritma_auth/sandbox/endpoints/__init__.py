"""The identity server's endpoints for clients: what comes over HTTP, handed to `identity`."""
