"""Random damages of all files of a small study, and what commands say of them."""
