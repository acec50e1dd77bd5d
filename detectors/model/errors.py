"""Errors a user of the library can meet.

    LanjieError
    ├── NumberListError   a line of a number list     (where: file:line)
    ├── RuleError         a rule, policy or threshold (where: file: $.path)
    └── ModelError        a model file of the message score (where: file)

Each says where, the value (masked if personal), what was expected, and what to do.
"""

from __future__ import annotations


class LanjieError(Exception):
    """Base of all our errors."""


class NumberListError(LanjieError):
    """An entry of a number list cannot be used."""


class RuleError(LanjieError):
    """Rule data cannot be used; the rules in force stay in force."""


class ModelError(LanjieError):
    """A model file cannot be used; the model in force stays in force."""
