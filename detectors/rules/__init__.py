"""Shipped rule data: governed TOML, read by detectors.rulepack."""
