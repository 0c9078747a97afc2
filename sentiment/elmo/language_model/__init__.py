"""ELMo's bidirectional language model (Peters et al. 2018) as it is trained, with gradients.

`sentiment.elmo.encoder` computes the same vectors without gradients, several times as fast; tests hold both together.

- `products`: matrix products with gradients, by the library that is the fastest here
- `lstm`: a layer with projection and both clips, and its gradient, step by step
- `characters`: from a word's characters to its vector
- `softmax`: which word comes next, over a large vocabulary
- `model`: all of it, with weights named and laid out as in the published files
- `text`: batches of tweets in both directions
- `files`: from and to `options.json` and `weights.hdf5`

From `sentiment` the modules here import `elmo` beside them, `data.batches` and what lies below.
"""
