"""What the sandbox's Banking APIs keep: consents, deliveries of events, payments."""
