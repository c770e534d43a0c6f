"""What people said, out of the store and into files: streamed, and whole or not there at all."""
