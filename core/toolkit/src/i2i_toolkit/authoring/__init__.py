"""New plugins: the templates that `i2i-registry new-plugin` begins from, and what is made of them."""
