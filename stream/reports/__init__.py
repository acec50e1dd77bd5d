"""What was done, for people: pages, and the figures of a period."""
