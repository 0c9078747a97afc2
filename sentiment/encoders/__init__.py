"""Pretrained transformers as frozen encoders: fetched once from the Hugging Face Hub, or read from a folder."""
