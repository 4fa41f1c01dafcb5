"""The administrator's page and the API: a process of its own without any right but to read the ledger.

Receives requests of browsers and programs. Returns pages rendered here, JSON and streams; changes go as commands
over the guard's control socket. Owns sessions (in memory) and what a role may do (`access`).
May import everything but `cli`; nothing imports it but the command that starts it.
"""
