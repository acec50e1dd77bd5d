"""What a change of rules or lists would do to a log: who is newly blocked, who released, and by which rule."""
