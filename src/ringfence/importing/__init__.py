"""Moving over from another guard: its configuration -> our catalogue, policy, settings, and a report.

Receives the folder of a fail2ban (`/etc/fail2ban`); returns texts of files and what was taken, what a kind of ours
covers and what was left, with the reason. Reads that folder only, writes nothing, runs nothing. Owns no state. May
import `model`, `errors`, `parse`, `policy`, `values`, `durations` and `render`.

`conf` reads the files, `filters` and `jails` say what they mean; `expressions`, `samples` and `datepatterns` translate
a filter, `covered` knows which kinds of ours there are for it; `kinds`, `rules`, `proving`, `report` and `machine` put
together what comes of it.
"""
