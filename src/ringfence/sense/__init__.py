"""Sensing: bytes in, no judgement.

Receives: path patterns, journal units and identifiers, and the `Position` of each source as last committed.
Returns: `Chunk`s of whole lines, each with the position to commit together with what was made of it; for `scan`,
blocks of whole lines.
Owns: open files, inotify watches, the journalctl process; nothing that outlives the process.
May import: `ringfence.model` and `ringfence.errors` only.
"""
