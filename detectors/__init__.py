"""Events in, decisions out. A pure library: no I/O, no clock, no environment, no framework.

from detectors.engine import Engine, Snapshot
from detectors.rulepack import load_rules
from detectors.lists import NumberIndex

engine = Engine(Snapshot.build(load_rules(), NumberIndex()))
decisions = engine.decide(events)
"""
