"""How the small models that ship with Quarry were made, each a script that anybody can run again: `token_projection`, `small_encoder`."""
