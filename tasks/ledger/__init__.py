"""Which run claimed and started which bulk delete.

The life of a claim, in the fields of its record. While ``ended`` is empty the claim is open, and no other run of the
organisation deletes anything::

    claim ─┬─ nothing left to delete, too late, cancelled, ► ended: refused  nothing was started: a retry may plan
           │  suspended, superseded, another claim is open                   again, and claims under the next number
           │
           └─ POST ─┬─ Close refuses ────────────────────► ended: refused
                    │
                    ├─ Close answers: bulk_delete_id ─┬──► ended: done, error   what Close said last; also noted by
                    │        ▲                        │                         the next run that finds it so
                    │        │ found in Close         └──► ended: given up      a person: it stays paused in Close
                    │        │
                    └─ no answer: the run ends `unknown`, and each retry searches again
                                                      ├──► ended: given up      a person's ``permission`` to start
                                                      │                         again: the next's ``restarted_by``
                                                      └──► ended: given up      a person: nothing more comes of it

``cancelled_at`` is set while the claim is open: Close is asked to pause what there is, and only a person's resume
clears it. A bulk delete that has been paused for seven days counts as ended, since Close won't resume it.

A run never deletes its record. If Prefect executes a run twice, one process creates the record and the other sees a
foreign ``nonce``. `record` is the value, `store` reads and writes it.
"""
