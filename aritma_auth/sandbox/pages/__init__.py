"""The pages that the sandbox's identity server shows to an end-user."""
