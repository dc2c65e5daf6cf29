"""Files of others read safely, and own files written whole or not at all."""
