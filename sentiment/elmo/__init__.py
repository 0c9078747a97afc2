"""ELMo (Peters et al. 2018): the published encoder, read from the official files, exact and fast."""
