"""An end-user signs in at this machine (RFC 8252, RFC 8628)."""
