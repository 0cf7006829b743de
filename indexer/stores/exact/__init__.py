"""`exact`: every vector compared, in mapped files, with what was added since beside them."""
