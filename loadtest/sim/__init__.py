"""A simulated province: people with habits, hard benign callers, and fraud operations among them."""
