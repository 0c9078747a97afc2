"""ELMo from published files, frozen; models of the Hugging Face Hub, frozen or fine-tuned."""
