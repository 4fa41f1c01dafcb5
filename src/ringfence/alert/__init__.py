"""Tell people: words a warning, decides who is told when, and sends it, in a process of its own.

Receives what the guard wrote down as `Alert`s in the ledger, and the settings of warnings; returns nothing: people,
chats, programs and logs are told, and what came of it is given to the guard, which writes it down.
Owns no state: what was sent, and what may not be sent again, stands in the ledger. `kinds`, `wording`, `plan` and
`level` are pure. The folder may import `ledger`, `model`, `errors` and the modules of time, text and commands that the
page uses too; of the guard nothing but its socket.
"""
