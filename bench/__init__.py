"""Reproducible comparisons of Ringfence with fail2ban, SSHGuard and ripgrep.

Receives nothing but what is installed; returns one dict per part, rendered as tables by `render`. Owns the generated
logs, the network namespace `rfbench…` and every process it starts, and removes them all. Drives Ringfence by its
command line; only `cost` looks inside (`ringfence.detect`, `ringfence.model`).
"""
