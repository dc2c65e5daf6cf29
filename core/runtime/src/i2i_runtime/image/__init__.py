"""Images in and out: reading, resizing to what a network takes and back, masks, faces, saving."""
