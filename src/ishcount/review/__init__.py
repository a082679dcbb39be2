"""A reader's decisions laid over an automatic result, which itself never changes.

`log` one append-only file per reader; `state` what the log amounts to, with undo; `live` counts of a million
cells in milliseconds; `outlines` areas and who lies where; `queues` what to look at next; `audit` and
`corrected` the audit-corrected density; `readers` two readers against each other; `apply` the way back into
the study; `exchange` other programs' files.
"""
