"""How soon a model that became worse is told of, and how often one that did not."""
