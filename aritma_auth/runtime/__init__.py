"""What the rest runs on: clocks, locks, one task in flight, closing. It knows nothing of OAuth."""
