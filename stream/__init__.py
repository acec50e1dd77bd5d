"""Everything with a socket, a clock or a disk."""
