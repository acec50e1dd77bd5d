"""The vocabulary: events in, evidence and decisions out. Imports nothing of ours."""
