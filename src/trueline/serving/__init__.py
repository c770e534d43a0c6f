"""An aligned policy behind an OpenAI-compatible API."""
