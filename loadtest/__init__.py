"""Traffic with known truth, an open-loop driver and the score. Never imports what it tests."""
