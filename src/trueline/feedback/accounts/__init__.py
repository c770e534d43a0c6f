"""Accounts, what proves who somebody is, and the log of what was done."""
