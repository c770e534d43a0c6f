"""Ray RLlib as an engine: the answer as an episode, a token as an action. The door is `engine.run`."""
