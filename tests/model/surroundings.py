"""What happens around a run: attempts of it begin, Close answers and gets on, people act, and accidents happen."""

from collections.abc import Iterator

from model import protocol
from model.protocol import bulk_delete_of, ends, goes_on, searches, updates
from model.world import (
    ANOTHER_RUN,
    ANOTHER_USER,
    BY_HAND,
    DONE,
    GIVEN_UP,
    OUR_USER,
    PAUSED,
    REFUSED,
    RUNNING,
    THE_RUN,
    Event,
    Guard,
    Job,
    Move,
    Post,
    Process,
    World,
)

HOOK, PERSON = "the hook", "the person"
CHANGED = -1
"""A query that no run has planned."""
AT_PEACE = (None, protocol.waits)
"""What processes do that neither start anything nor are about to write in the ledger."""


def moves(world: World) -> Iterator[Move]:
    """Everything that may happen next."""
    for process in world.processes:
        if process.step:
            yield from process.step(world, process)
    yield from attempts(world)
    for post in world.posts:
        yield from close_gets(world, post)
    yield from progress(world)
    yield from acts(world)
    yield from accidents(world)


def attempts(world: World) -> Iterator[Move]:
    """The next copy begins. If a person asks for it, the run is no longer cancelled, to Prefect."""
    for run, names in ((THE_RUN, world.scenario.copies), (ANOTHER_RUN, world.scenario.rival)):
        for name in [each for each in names if not world.process(each)][:1]:
            by_person = name in world.scenario.by_person
            now = world._replace(cancelled=world.cancelled and not by_person)
            yield from protocol.reads_record(now, Process(name, run, protocol.reads_record, by_person))


# Close: tasks/close/client.py


def close_gets(world: World, post: Post) -> Iterator[Move]:
    """A POST arrives or doesn't, whether or not its sender still waits for the answer."""
    job = Job(len(world.jobs) + 1, post.run, world.marks(post.run), post.query, post.nonce)
    gone = world.without_post(post)
    accepted = gone.add(job)
    sender = world.process(post.sender)
    its_post = f"the POST of {post.sender}"
    if not sender or sender.step is not protocol.awaits_answer:
        yield f"{its_post} reaches Close after all, as bulk delete {job.id}", accepted
        yield f"{its_post} never reaches Close", gone
        return
    accepts = f"Close accepts {its_post} as bulk delete {job.id}"
    yield accepts, protocol.hears(accepted, sender, job.id)
    if not world.scenario.calm:
        yield f"{accepts}, and the answer is lost", protocol.hears_nothing(accepted, sender)
        yield f"Close turns {its_post} away", protocol.is_refused(gone, sender, "refused")
        yield f"{its_post} is lost", protocol.hears_nothing(gone, sender)
        yield f"{its_post} takes longer than {sender.name} waits", protocol.hears_nothing(world, sender)


def progress(world: World) -> Iterator[Move]:
    """Close's list lags, but gets there; bulk deletes come to their end."""
    for job in world.jobs:
        if not job.shown:
            yield f"Close's list shows bulk delete {job.id}", world.change(job.id, shown=True)
        if job.status == RUNNING:
            yield f"bulk delete {job.id} is done", world.change(job.id, status=DONE)


# People: tasks/bulk_delete/cancel.py, tasks/bulk_delete/resume.py


def acts(world: World) -> Iterator[Move]:
    """What a scenario lets people do: each once, at any time."""
    if world.scenario.may(Event.CANCELS) and not world.process(HOOK):
        yield "a person cancels the run", world.put(Process(HOOK, THE_RUN, hook_reads))._replace(cancelled=True)
    for event, act in ((Event.STARTS_AGAIN, starts_again), (Event.GIVES_UP, gives_up)):
        if world.scenario.may(event) and not world.process(PERSON):
            yield from act(world, Process(PERSON, THE_RUN, act))


def hook_reads(world: World, me: Process) -> Iterator[Move]:
    """`cancel`: what the run has claimed is first of all recorded as cancelled."""
    record = world.latest(me.run)
    if record is None or record.ended == REFUSED:
        yield f"{me.name} reports that nothing was started", ends(world, me, "nothing started")
    else:
        after = updates(world, me._replace(then=hook_pauses), record, cancelled=True)
        yield f"{me.name} reads claim {record.nonce}", after


def hook_pauses(world: World, me: Process) -> Iterator[Move]:
    """`_pause_and_report`: find it, if it isn't on record, and pause it. Close obeys."""
    assert me.claim
    if me.claim.job is None:
        yield from searches(world, me._replace(then=hook_pauses))
    elif world.job(me.claim.job).status == DONE:
        yield f"{me.name} sees that bulk delete {me.claim.job} is done", ends(world, me, "too late")
    else:
        after = ends(world.change(me.claim.job, status=PAUSED), me, "paused")
        yield f"{me.name} pauses bulk delete {me.claim.job}", after


def starts_again(world: World, me: Process) -> Iterator[Move]:
    """`permit`: only where it isn't known what came of the claim."""
    record = world.latest(me.run)
    if record is None or record.ended == REFUSED or record.job:
        yield f"{me.name} is told to resume the run without --start-again", ends(world, me, "told to resume")
    else:
        yield f"{me.name} asks to start again", goes_on(world, me, step=looks_a_last_time, claim=record)


def looks_a_last_time(world: World, me: Process) -> Iterator[Move]:
    """`permit`: until the claim is old, and then it is permitted."""
    assert me.claim
    aged = world.aged(me.claim.nonce) if world.scenario.has(Guard.PATIENCE) else world
    if bulk_delete_of(world, me.run, me.claim.query):
        yield f"{me.name} is shown what Close has of the run", ends(world, me, "told to resume")
    elif aged:
        after = updates(aged, me._replace(outcome="permitted"), me.claim, ended=GIVEN_UP, permission=True)
        yield f"{me.name} lets the run start again", after


def gives_up(world: World, me: Process) -> Iterator[Move]:
    """`give_up`: the person says that nothing more comes of it, after a last look like that of `permit`."""
    record = world.latest(me.run)
    if record is None or record.ended:
        yield f"{me.name} is told that the run stands in nobody's way", ends(world, me, "told")
        return
    careful = world.scenario.has(Guard.CARE)
    aged = world.aged(record.nonce) if careful else world
    found = bulk_delete_of(world, me.run, record.query) if careful else None
    if aged and not (isinstance(found, Job) and found.status != DONE):
        after = updates(aged, me._replace(outcome="given up"), record, ended=GIVEN_UP)
        yield f"{me.name} says that nothing more comes of claim {record.nonce}", after


# Accidents


def accidents(world: World) -> Iterator[Move]:
    """What a scenario lets happen: each once, at any time."""
    record = world.latest(THE_RUN)
    for event in sorted(world.scenario.events - world.past):
        after = world._replace(past=world.past | {event})
        match event:
            case Event.RENAMED:
                yield "the labels are renamed", after._replace(labels=2)
            case Event.OUR_COPY | Event.THEIR_COPY | Event.CHANGED_COPY if record:
                author = ANOTHER_USER if event == Event.THEIR_COPY else OUR_USER
                changed = event == Event.CHANGED_COPY
                query = CHANGED if changed else record.query
                job = Job(len(world.jobs) + 1, THE_RUN, world.marks(THE_RUN), query, BY_HAND, author, shown=True)
                what = "a changed query" if changed else "the query"
                yield f"{author} starts {what} by hand, as bulk delete {job.id}", after.add(job)
            case Event.LEDGER_LOST | Event.LOST_IN_PEACE if record and (event == Event.LEDGER_LOST or _peace(world)):
                ledger = tuple(claim for claim in world.ledger if claim.run != THE_RUN)
                yield "the ledger is lost", after._replace(ledger=ledger)
            case _:
                pass


def _peace(world: World) -> bool:
    idle = all(process.step in AT_PEACE for process in world.processes)
    return idle and not world.posts and all(job.shown for job in world.jobs)
