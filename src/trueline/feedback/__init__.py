"""1. What people say: the store, snapshots of it, importers, agreement, simulated annotators."""
