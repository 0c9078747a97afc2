"""Frozen encoders: ELMo, read from the official files or trained here, and models of the Hugging Face Hub."""
