"""Raw numbers and raw text to the one form in which they are matched."""
