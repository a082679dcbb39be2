"""How the shipped dot model was learned: patches, evidence, training, model card."""
