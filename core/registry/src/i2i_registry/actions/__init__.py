"""What the commands do: run, export, compare, grid, collage, inspect, doctor. No command line here."""
