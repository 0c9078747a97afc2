"""ELMo vectors of a corpus, computed once, kept on disk and read by batches."""
