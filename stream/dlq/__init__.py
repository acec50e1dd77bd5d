"""Dead letters read back, shown without what they say, and put back to where they came from."""
