"""A prepared corpus: read, cleaned, tokenised, de-duplicated, split, and kept on disk by fingerprint."""
