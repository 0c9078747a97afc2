"""From a configuration to a result: runs begin, go on where they stopped, and write down what came out."""
