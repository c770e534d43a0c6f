"""3. Reinforcement learning: rollouts, algorithms, updates, checkpoints."""
