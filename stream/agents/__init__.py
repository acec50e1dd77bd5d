"""Agents: thin. They decode, ask the engine, and send."""
