"""Grids of images with titles, as one image or one page, and animations as one file."""
