"""Who may ask, how much, and under what decision; all of it answered from memory."""
