"""What a run would need, before it is started: memory, time and cost from a stated model of hardware and work."""
