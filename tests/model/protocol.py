"""What the code does: one step for each touch of the ledger, of Close, or of what Prefect knows of the run.

Each step is named after the code it stands for, and yields how it may go: in words, and the world after it. Between two
steps anything else may happen. The turn, the stop and the last count are left out: they only ever keep a run from
starting.

A crash is no move: who has crashed takes no further step, and the search obliges nobody to take one. So whatever it
reaches, it reaches with any of the processes dead. A Prefect server that is away ends an attempt like a crash; if only
the id of a bulk delete can't be recorded, the attempt continues.
"""

from collections.abc import Iterator

from model.world import (
    ANOTHER_RUN,
    DONE,
    GIVEN_UP,
    NOTHING_SEEN,
    OUR_USER,
    PAUSED,
    REFUSED,
    RUNNING,
    Claim,
    Guard,
    Job,
    Move,
    Post,
    Process,
    World,
)


def ends(world: World, me: Process, outcome: str) -> World:
    return world.put(Process(me.name, me.run, step=None, query=me.query, job=me.job, outcome=outcome))


def goes_on(world: World, me: Process, **remembered: object) -> World:
    """Remembering more. Who waits for a bulk delete needs to remember nothing else."""
    now = me._replace(**remembered)
    return world.put(Process(now.name, now.run, waits, query=now.query, job=now.job) if now.step is waits else now)


# An attempt of a run: flows/lead_cleanup.py, tasks/bulk_delete/start.py


def reads_record(world: World, me: Process) -> Iterator[Move]:
    """`read_record`, and the way that `continue_bulk_delete` takes from there."""
    record = world.latest(me.run) if world.scenario.has(Guard.RECORD_FIRST) else None
    if record is None or record.may_plan_again:
        yield f"{me.name} begins, and has no record", goes_on(world, me, step=plans, claim=record)
        return
    if not world.scenario.has(Guard.RECORDED_QUERY):
        record = record._replace(query=world.query(me.run))
    me = me._replace(query=record.query, claim=record, job=record.job)
    reads = f"{me.name} begins, and reads"
    if record.cancelled and not me.by_person:
        yield f"{reads} that the run is cancelled", ends(world, me, "cancelled")
    elif record.unused_permission:
        yield f"{reads} that it may start again", goes_on(world, me, step=looks, job=None)
    elif record.ended == GIVEN_UP:
        yield f"{reads} that its claim is given up", ends(world, me, "unknown")
    elif record.job:
        yield (
            f"{reads} of bulk delete {record.job}",
            goes_on(world, me, step=resumes_if_paused if me.by_person else waits),
        )
    else:
        yield f"{reads} claim {record.nonce}", goes_on(world, me, step=searches)


def plans(world: World, me: Process) -> Iterator[Move]:
    """`make_plan`, which always finds leads here."""
    yield f"{me.name} plans", goes_on(world, me, step=looks, query=world.query(me.run))


def has_marks(world: World, run: int, job: Job) -> bool:
    """`has_marks`: both."""
    found = [one == other for one, other in zip(job.marks, world.marks(run), strict=True)]
    if not world.scenario.has(Guard.MARK):
        return True
    return all(found) if world.scenario.has(Guard.BOTH_MARKS) else any(found)


def bulk_delete_of(world: World, run: int, query: int, seen: frozenset[int] | None = None) -> Job | str | None:
    """`bulk_delete_of`: the run's bulk delete among those *seen* (or listed now), or what is wrong with it."""
    listed = [job for job in world.jobs if (job.shown if seen is None else job.id in seen)]
    ours = [job for job in listed if has_marks(world, run, job)]
    if not ours:
        return None
    if len(ours) > 1:
        return "several bulk deletes with its marks"
    if ours[0].author != OUR_USER and world.scenario.has(Guard.AUTHOR):
        return "a bulk delete with its marks that somebody else started"
    same = (ours[0].query, ours[0].marks) == (query, world.marks(run))  # a query holds the marks
    return ours[0] if same or not world.scenario.has(Guard.QUERY) else "a bulk delete with its marks and another query"


def is_settled(world: World, other: Claim, seen: frozenset[int]) -> bool:
    """`_check_over`: whether what was seen is the bulk delete of another run's claim. All that were seen are done."""
    if other.job in seen:
        return True
    if not world.scenario.has(Guard.SETTLED):
        return any(has_marks(world, other.run, job) for job in world.jobs if job.id in seen)
    return isinstance(bulk_delete_of(world, other.run, other.query, seen), Job)


def looks(world: World, me: Process) -> Iterator[Move]:
    """`preflight`: `bulk_delete_of` or `check_idle`."""
    skipped = not world.scenario.has(Guard.LOOK_BEFORE)
    found = None if skipped else bulk_delete_of(world, me.run, me.query)
    shown = [] if skipped else [job for job in world.jobs if job.shown]
    if isinstance(found, Job):
        yield f"{me.name} looks, and finds bulk delete {found.id}", goes_on(world, me, step=numbers, job=found.id)
    elif found:
        yield f"{me.name} looks, and sees {found}", ends(world, me, "unknown")
    elif any(job.status != DONE for job in shown):
        yield f"{me.name} looks, and sees an unfinished bulk delete", ends(world, me, "refused")
    else:
        seen = frozenset(job.id for job in shown)
        yield f"{me.name} looks, and sees nothing of its own", goes_on(world, me, step=numbers, seen=seen)


def numbers(world: World, me: Process) -> Iterator[Move]:
    """`next_claim`: the number after that of the record that was read first."""
    after = me.claim
    number = after.number + 1 if after else 1
    mine = Claim(me.run, number, f"{me.name}{number}", me.query, restarted_by=bool(after and after.unused_permission))
    step = claims if world.scenario.has(Guard.CLAIM) else posts
    yield f"{me.name} makes ready claim {mine.nonce}", goes_on(world, me, step=step, claim=mine)


def claims(world: World, me: Process) -> Iterator[Move]:
    """`claim`: create it unless it exists, and read the one that does; taken as one step."""
    assert me.claim
    standing = world.standing(me.run, me.claim.number)
    said = f"{me.name} meets claim {standing.nonce}" if standing else f"{me.name} writes claim {me.claim.nonce}"
    record = standing or me.claim
    after = world if standing else world.write(record)
    mine = record.nonce == me.claim.nonce or not world.scenario.has(Guard.NONCE)
    same = record.query == me.query or not world.scenario.has(Guard.CLAIMED_PLAN)
    if not mine and (record.ended == REFUSED or not same):
        yield said, ends(after, me, "unknown")
    elif record.job:
        yield said, goes_on(after, me, step=waits, job=record.job)
    elif not mine:
        yield said, goes_on(after, me, step=searches, claim=record, job=None, seen=NOTHING_SEEN)
    elif me.job:
        yield said, updates(after, me._replace(then=waits), record, job=me.job)
    else:
        yield said, goes_on(after, me, step=checks_claim, claim=record)


def checks_claim(world: World, me: Process) -> Iterator[Move]:
    """`_check_claim`, what it reads first: the claim."""
    assert me.claim
    standing = world.latest(me.run)
    if standing is None or (standing.nonce != me.claim.nonce and world.scenario.has(Guard.NONCE)):
        yield f"{me.name} sees that its claim stands no longer", is_refused(world, me, "unknown")
    elif standing.cancelled and world.scenario.has(Guard.NOT_CANCELLED):
        yield f"{me.name} reads in its claim that the run is cancelled", is_refused(world, me, "cancelled")
    else:
        yield f"{me.name} sees that its claim stands", goes_on(world, me, step=checks_state)


def checks_state(world: World, me: Process) -> Iterator[Move]:
    """`_check_claim`, what it reads next: the state of the run; and `check_latest`.

    Which of two attempts is the later isn't kept here, so each may find itself superseded by the other.
    """
    if any(other.run == me.run for other in world.processes if other.name != me.name):
        yield f"{me.name} sees that a later attempt has begun", is_refused(world, me, "superseded")
    if world.cancelled and me.run != ANOTHER_RUN and world.scenario.has(Guard.NOT_CANCELLED):
        yield f"{me.name} sees that the run is cancelled", is_refused(world, me, "cancelled")
    else:
        yield f"{me.name} sees that the run isn't cancelled", goes_on(world, me, step=checks_others)


def checks_others(world: World, me: Process) -> Iterator[Move]:
    """`_check_claim`, what it reads last: no other run may have a claim of which more may come."""
    for other in world.ledger if world.scenario.has(Guard.OTHER_RUNS) else ():
        if other.run == me.run or other.ended:
            continue
        if is_settled(world, other, me.seen):
            after = updates(world, me._replace(then=posts, seen=NOTHING_SEEN), other, ended=DONE)
            yield f"{me.name} has seen that claim {other.nonce} of another run came to its end", after
        else:
            yield f"{me.name} sees claim {other.nonce} of another run", is_refused(world, me, "refused")
        return
    yield f"{me.name} sees no other run in its way", goes_on(world, me, step=posts, seen=NOTHING_SEEN)


def posts(world: World, me: Process) -> Iterator[Move]:
    """`_post`: a look at the clock, and off it goes. What comes of it is for `model.surroundings` to say."""
    assert me.claim
    timed = world.scenario.has(Guard.YOUNG_CLAIM) and world.scenario.has(Guard.CLAIM)
    old = me.claim.nonce in world.old
    aged = world.aged(me.claim.nonce)
    if timed and aged and (old or not world.scenario.calm):
        yield f"{me.name} sees that its claim is old", is_refused(aged, me, "refused")
    if not (timed and old):
        post = Post(me.run, me.query, me.claim.nonce, me.name)
        yield f"{me.name} posts", goes_on(world, me, step=awaits_answer)._replace(posts=(*world.posts, post))


def awaits_answer(world: World, me: Process) -> Iterator[Move]:
    """`start_bulk_delete`, while there is no answer: nothing that *me* can do."""
    yield from ()


def hears(world: World, me: Process, job: int) -> World:
    """The answer is the id of a bulk delete."""
    assert me.claim
    if not world.scenario.has(Guard.CLAIM):
        return goes_on(world.write(me.claim._replace(job=job)), me, step=waits, job=job)
    return updates(world, me._replace(job=job, then=waits), me.claim, job=job)


def hears_nothing(world: World, me: Process) -> World:
    """No answer, or one after which nobody knows whether anything was started."""
    return goes_on(world, me, step=searches if world.scenario.has(Guard.ONE_POST) else posts)


def is_refused(world: World, me: Process, outcome: str) -> World:
    """It is certain that this claim has started nothing, and the record is to say so."""
    assert me.claim
    if world.scenario.has(Guard.KEPT_RECORD):
        return updates(world, me._replace(outcome=outcome), me.claim, ended=REFUSED)
    return goes_on(world, me, step=deletes_record, outcome=outcome)


def deletes_record(world: World, me: Process) -> Iterator[Move]:
    """What no run does: Prefect's client repeats a request whose answer is lost, and then deletes another's claim."""
    assert me.claim
    after = world.erase(me.run, me.claim.number)
    yield f"{me.name} deletes its record", ends(after, me, me.outcome)
    if me.then is None:
        said = f"{me.name} deletes its record; the answer is lost, and it will ask again"
        yield said, goes_on(after, me, then=deletes_record)


def searches(world: World, me: Process) -> Iterator[Move]:
    """`search_until_visible`: look until there is something, or the settling time is over."""
    assert me.claim
    found = bulk_delete_of(world, me.run, me.claim.query) if world.scenario.has(Guard.LOOK_AFTER) else None
    aged = world.aged(me.claim.nonce)
    if isinstance(found, Job):
        then = me.then or (resumes_if_paused if me.by_person else waits)
        after = updates(world, me._replace(job=found.id, then=then), me.claim, job=found.id)
        yield f"{me.name} looks, and finds bulk delete {found.id}", after
    elif found:
        yield f"{me.name} looks, and sees {found}", ends(world, me, "unknown")
    elif aged:
        yield f"{me.name} has looked for the settling time, and found nothing", ends(aged, me, "unknown")


def resumes_if_paused(world: World, me: Process) -> Iterator[Move]:
    """`resume_if_paused`, for a person; then the run is no longer cancelled."""
    assert me.claim
    assert me.job
    after = goes_on(world, me, step=waits)
    if me.claim.cancelled:
        after = updates(world, me._replace(then=waits), me.claim, cancelled=False)
    if world.job(me.job).status == PAUSED:
        yield f"{me.name} lets bulk delete {me.job} go on", after.change(me.job, status=RUNNING)
    else:
        yield f"{me.name} sees that bulk delete {me.job} isn't paused", after


def waits(world: World, me: Process) -> Iterator[Move]:
    """`wait_for_bulk_delete`, which records the end in the run's latest record."""
    assert me.job
    status = world.job(me.job).status
    if status == PAUSED:
        yield f"{me.name} waits no longer for bulk delete {me.job}, which is paused", ends(world, me, "still running")
    elif status == DONE:
        record = world.latest(me.run)
        me = me._replace(outcome="deleted")
        mine = record is not None and (record.job == me.job or (record.job is None and not record.ended))
        facts = {"ended": DONE} if record and record.job else {"job": me.job, "ended": DONE}
        after = updates(world, me, record, **facts) if record and mine else ends(world, me, "deleted")
        yield f"{me.name} sees that bulk delete {me.job} is done", after


# Adding to a record: tasks/ledger/store.py


def updates(world: World, me: Process, record: Claim, **facts: object) -> World:
    """On the way to `update` *record* with *facts*: it is read again, and written as it is then, with the facts in it.

    After that *me* does what it is to do `then`, or is over.
    """
    return goes_on(world, me, step=reads_to_update, updated=record, facts=tuple(facts.items()))


def reads_to_update(world: World, me: Process) -> Iterator[Move]:
    """`update`, the first half."""
    assert me.updated
    standing = world.standing(me.updated.run, me.updated.number)
    if standing is None or (standing.nonce != me.updated.nonce and world.scenario.has(Guard.NONCE)):
        yield f"{me.name} finds claim {me.updated.nonce} gone", ends(world, me, me.outcome or "unknown")
    else:
        updated = standing._replace(**dict(me.facts))
        yield f"{me.name} reads claim {standing.nonce}, to add to it", goes_on(world, me, step=writes, updated=updated)


def writes(world: World, me: Process) -> Iterator[Move]:
    """`update`, the second half."""
    assert me.updated
    if world.standing(me.updated.run, me.updated.number) is None:
        yield f"{me.name} finds claim {me.updated.nonce} gone", ends(world, me, me.outcome or "unknown")
        return
    said = f"{me.name} records {' and '.join(f'{name} = {value}' for name, value in me.facts)}"
    after = world.write(me.updated)
    if me.then is None:
        yield said, ends(after, me, me.outcome)
    else:
        claim = me.updated if me.updated.run == me.run else me.claim
        yield said, goes_on(after, me, step=me.then, claim=claim, updated=None, facts=(), then=None)
    if me.then in (waits, resumes_if_paused) and me.job and not world.scenario.calm:
        said = f"{me.name} can't record bulk delete {me.job}, and continues all the same"
        yield said, goes_on(world, me, step=me.then, updated=None, facts=(), then=None)
