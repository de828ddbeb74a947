"""Which run claimed and started which bulk delete.

The life of a claim, from the Variable that holds it. What is in capitals is the field `ended`; while that is empty the
claim is open, and no other live run of the organisation starts::

    claim ──► POST ──┬── refused by Close ───────────► REFUSED      nothing was started: a retry claims the next number
                     │
                     ├── answered: bulk_delete_id ─┬─► DONE, ERROR  what Close said last; a retry only reports
                     │        ▲                    │
                     │        │ found in Close     └── cancelled_at: Close is asked to pause it; a person's resume
                     │        │                        clears that, and lets the same bulk delete continue
                     └── no answer ────────────────┬── the run ends ``unknown``, and each retry looks again
                                                   ├─► GIVEN UP     by ``resume --start-again``: ``permission``, which
                                                   │                the next claim uses up as ``restarted_by``
                                                   └─► GIVEN UP     by ``ledger --give-up``: ``given_up``, with a name

A run never deletes its record. Of several copies of a run one creates it; the others see by its ``nonce`` that it isn't
theirs. `record` is the value, `store` reads and writes it.
"""
