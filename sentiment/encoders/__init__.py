"""Pretrained encoders, which give vectors of tokens or tweets, and the batches that networks read.

- `elmo`, `elmo_files`, `allennlp`: ELMo from published files, frozen
- `transformer`, `finetuned`: models of the Hugging Face Hub, frozen or trained with the classifier
- `pretrained`: fetches both, finds them and compares them with their checksums
- `cache`, `batches`: vectors on disk or computed for each batch, and batches of tweets with them
- `inputs`: the hashes of all that a run reads
"""
