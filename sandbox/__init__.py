"""A micro-video site that runs on this machine, the same for the same seed, and knows the truth about itself."""
