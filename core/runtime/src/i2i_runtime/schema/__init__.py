"""What a bundle says of itself, as records: manifest, graphs, operations, and which steps need what."""
