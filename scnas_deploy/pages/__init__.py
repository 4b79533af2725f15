"""Pages for people: single HTML files that open offline in a browser. Torch-free."""
