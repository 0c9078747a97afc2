"""ELMo's encoder (Peters et al. 2018): characters to three layers of vectors, without state between calls."""
