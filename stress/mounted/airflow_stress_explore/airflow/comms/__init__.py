"""The comms between a triggerer's runner and its supervisor, on a controlled event loop."""
