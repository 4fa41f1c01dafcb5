"""What each kind of server's log looks like: one TOML file a kind, and nothing else.

Receives nothing, returns nothing: `parse.catalogue` reads these files. Owns the examples that prove the patterns.
"""
