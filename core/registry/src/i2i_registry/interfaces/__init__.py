"""What a plugin implements: Model, Trainer, Exporter, and the cards that describe them without torch."""
