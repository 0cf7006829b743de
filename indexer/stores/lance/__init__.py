"""`lance`: a LanceDB table, whose manifests are read before LanceDB reads them."""
