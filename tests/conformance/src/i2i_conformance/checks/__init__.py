"""What must hold, as plain functions: each raises ConformanceError when a promise of the interfaces is broken."""
