"""Make the kernel agree with the ledger: one nftables table of our own, `inet ringfence`.

Receives bans, whitelist and lockdown as facts of `model`. Returns which bans the kernel confirmed, what reconcile
had to put right, and the packets each ban dropped. Owns the table `inet ringfence` and nothing else in the kernel.
May import `model`, `errors`, and what stands left of it on the way of a line (it needs none of that).

`ruleset`, `cover` and `wanted` are pure (text and elements out of facts); `nft` writes through libnftables, `netlink`
reads, `sets` changes elements, `reconcile` is the fence that the daemon uses, `monitor` hears of foreign changes.
"""
