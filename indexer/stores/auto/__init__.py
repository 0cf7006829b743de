"""`auto`: exact while that is fast; above, signs find candidates, second bits choose among them, vectors decide."""
