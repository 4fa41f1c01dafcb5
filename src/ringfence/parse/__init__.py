"""Bytes -> events, pure.

Receives blocks of whole lines from `sense` and the catalogue's patterns; returns Events: first sightings, one for each
line that tells of an authentication (`Reader`), then attempts, each counted once (`Attempts`). Owns what it remembers
of each log (stamps, threads) and of attempts under way. May import `sense` (in fact: nothing of it), `model`, `errors`.
"""
