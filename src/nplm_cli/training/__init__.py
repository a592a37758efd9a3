"""Finding the weights: batches, loss, optimisers, the loop and its checkpoints (torch)."""
