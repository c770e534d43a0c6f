"""What can be wrong with labels, and how sure that is. Nothing is ever dropped, only flagged."""
