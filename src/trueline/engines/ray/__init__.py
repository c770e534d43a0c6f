"""Trueline on a Ray cluster."""
