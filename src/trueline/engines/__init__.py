"""Where a run of reinforcement learning runs: this machine, a Ray cluster, or Ray RLlib."""
