"""A ticket's whole story, told by a Python client against a running Switchyard.

Somebody in Vienna asks in the chat about a bill; Ada is offered the ticket, takes it, answers, asks back, gets her answer and
solves it. All four services have a part. Exit code 0 if everything was as promised, 1 with a line that says what was not.
"""

import argparse
import contextlib
import json
import queue
import sys
import threading
import time
import urllib.request

import grpc
from google.protobuf import descriptor_pool  # noqa: F401  (google's own messages must be known before ours)
from google.rpc import error_details_pb2  # noqa: F401
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

import client as switchyard

WAIT_SECONDS = 60
LOOK_EVERY = 0.05
SERVICES = {
    "intake": "switchyard.intake.v1.IntakeService",
    "routing": "switchyard.routing.v1.RoutingService",
    "sla": "switchyard.sla.v1.SlaService",
    "notify": "switchyard.notify.v1.NotifyService",
}
AGENT = "ada"
QUEUE = "billing"
HOOK_EVENTS = ["TicketOpened", "OfferMade", "OfferAccepted", "ClockMet"]
# What the timeline must tell of each service.
CHAPTERS = {
    "intake": {"TicketOpened", "MessageAdded", "StatusChanged", "OwnerChanged"},
    "routing": {"TicketQueued", "OfferMade", "OfferAccepted", "WorkCompleted"},
    "sla": {"ClockStarted", "ClockMet"},
    "notify": {"IntentMade", "AttemptEnded"},
}


class Failed(Exception):
    """Something was not as promised."""


def check(holds, text):
    """Fails with the text unless it holds."""
    if not holds:
        raise Failed(text)


def until(what, look):
    """Looks until there is something to see."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        seen = look()
        if seen:
            return seen
        check(time.monotonic() < deadline, f"not within {WAIT_SECONDS} s: {what}")
        time.sleep(LOOK_EVERY)


class Watch:
    """A stream read by a thread of its own, so that waiting for its next message has a bound."""

    def __init__(self, stream):
        self.messages = queue.Queue()
        threading.Thread(target=self.read, args=(stream,), daemon=True).start()

    def read(self, stream):
        """Passes every message on, and the end of the stream too."""
        with contextlib.suppress(ValueError):  # the channel was closed under it
            try:
                for message in stream:
                    self.messages.put(message)
            except grpc.RpcError as error:
                self.messages.put(error)

    def until(self, what, wanted):
        """The first message that is wanted."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                message = self.messages.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise Failed(f"not on the stream within {WAIT_SECONDS} s: {what}") from None
            if isinstance(message, grpc.RpcError):
                raise Failed(f"the stream ended before {what}: {message.code()} {message.details()}")
            if wanted(message):
                return message


class Story:
    """One run."""

    def __init__(self, options):
        self.options = options
        self.workspace = options.workspace
        self.addresses = {name: getattr(options, name) for name in SERVICES}
        self.client = switchyard.Client(self.addresses)
        self.common = switchyard.module("common")
        self.intake = switchyard.module("intake")
        self.routing = switchyard.module("routing")
        self.sla = switchyard.module("sla")
        self.notify = switchyard.module("notify")
        self.events = {name: switchyard.module("events", name) for name in ["intake", "routing", "sla", "notify"]}

    def tell(self):
        """The story, chapter by chapter."""
        for chapter in [self.health, self.reflection, self.settings, self.before, self.opening, self.offer]:
            self.run(chapter)
        for chapter in [self.conversation, self.completion, self.clocks, self.timeline, self.told]:
            self.run(chapter)
        self.client.close()

    def run(self, chapter):
        """One chapter, and how long it took."""
        started = time.monotonic()
        result = chapter()
        print(f"story: {chapter.__name__}: {result} ({time.monotonic() - started:.2f} s)", flush=True)

    def health(self):
        """Every server and its service say that they serve."""

        def serving(channel, name):
            try:
                reply = health_pb2_grpc.HealthStub(channel).Check(
                    health_pb2.HealthCheckRequest(service=name), timeout=5, wait_for_ready=True
                )
            except grpc.RpcError:
                return False
            return reply.status == health_pb2.HealthCheckResponse.SERVING

        for service, name in SERVICES.items():
            channel = self.client.channels[service]
            until(f"{service} is healthy", lambda: serving(channel, ""))
            until(f"{name} is healthy", lambda: serving(channel, name))
        return "four services are serving"

    def reflection(self):
        """Every server describes its service."""
        for service, name in SERVICES.items():
            database = ProtoReflectionDescriptorDatabase(self.client.channels[service])
            check(name in database.get_services(), f"{service}'s reflection doesn't list {name}")
            described = database.FindFileContainingSymbol(name)
            check(described.package == name.rpartition(".")[0], f"{name} is described by {described.name}")
        return "four services describe themselves"

    def settings(self):
        """The workspace, what it promises, who works in it and who is told. Putting it all again changes nothing."""
        workspace = self.intake.Workspace(workspace_id=self.workspace, display_name="Story", default_priority=2)
        self.call("intake", "PutWorkspace", workspace=workspace)
        metrics, priorities = range(1, 5), range(1, 5)
        targets = [self.sla.PolicyTarget(metric=m, priority=p) for m in metrics for p in priorities]
        for target in targets:
            target.within.FromSeconds(3600 * target.priority * target.metric)
        policy = self.sla.Policy(policy_id="standard", targets=targets, warn_at_permille=[500, 800])
        self.call("sla", "PutPolicy", policy=policy)
        skill = self.common.SkillRequirement(skill="billing", min_level=2)
        billing = self.routing.Queue(
            queue_id=QUEUE, order=10, filter='ticket.type == "billing"', required_skills=[skill]
        )
        self.call("routing", "PutQueue", queue=billing)
        skills = [self.events["routing"].Skill(skill=name, level=4) for name in ["billing", "de"]]
        ada = self.routing.Agent(agent_id=AGENT, display_name="Ada", skills=skills)
        self.call("routing", "PutAgent", agent=ada)
        novice = self.routing.Agent(agent_id="bob", display_name="Bob", skills=skills[1:])
        self.call("routing", "PutAgent", agent=novice)
        for agent in [AGENT, "bob"]:
            request = self.routing.SetPresenceRequest(workspace_id=self.workspace, agent_id=agent, presence=1)
            request.lease.FromSeconds(0)  # until changed
            self.client.call("routing", "SetPresence", request)
        endpoint = self.notify.Endpoint(
            endpoint_id="hook", url=self.options.webhook_url, secret=self.options.webhook_secret
        )
        self.call("notify", "PutEndpoint", endpoint=endpoint)
        rule = self.notify.Rule(rule_id="hook", event_types=HOOK_EVENTS, channel=1, endpoint_id="hook")
        self.call("notify", "PutRule", rule=rule)
        rule = self.notify.Rule(
            rule_id="desk",
            event_types=["OfferMade"],
            channel=2,
            recipients=[f"agent:{AGENT}"],
            template="Ticket {{ ticket.number }} of {{ ticket.requester_name }} is waiting for you",
        )
        self.call("notify", "PutRule", rule=rule)
        return f"workspace {self.workspace}, policy, queue, two agents, endpoint, two rules"

    def before(self):
        """What earlier runs have left: every ticket solved, its story complete, its webhooks delivered."""
        self.previous = list(self.pages("intake", "ListTickets", "tickets"))
        numbers = sorted(ticket.number for ticket in self.previous)
        check(numbers == list(range(1, len(numbers) + 1)), f"numbers are missing or came twice: {numbers}")
        if self.options.expect_previous:
            check(self.previous, "the earlier run's ticket is gone")
        for ticket in self.previous:
            check(ticket.external_id == f"story-{ticket.number}", f"ticket {ticket.number} is not ours")
            check(ticket.status == self.common.TICKET_STATUS_RESOLVED, f"ticket {ticket.number} is not solved")
            check(ticket.message_count == 3, f"ticket {ticket.number} has {ticket.message_count} messages")
            self.check_chapters(ticket.ticket_id)
            self.check_delivered(ticket.ticket_id)
        return f"{len(self.previous)} tickets of earlier runs, all whole"

    def opening(self):
        """A chat is opened; the same request again gets the same answer. Nobody else may take its external id."""
        self.offers = Watch(
            self.client.watch(
                "routing",
                "WatchOffers",
                self.routing.WatchOffersRequest(
                    workspace_id=self.workspace, agent_id=AGENT, include_snapshot=True
                ),
            )
        )
        self.offers.until("the snapshot of offers", lambda message: message.snapshot_complete)
        self.notes = Watch(
            self.client.watch(
                "notify",
                "WatchNotifications",
                self.notify.WatchNotificationsRequest(
                    workspace_id=self.workspace,
                    agent_id=AGENT,
                    start=self.common.WatchStart(earliest=True),
                ),
            )
        )
        number = len(self.previous) + 1
        request = self.intake.CreateTicketRequest(
            workspace_id=self.workspace,
            request_id=switchyard.new_id(),
            external_id=f"story-{number}",
            channel=self.common.CHANNEL_CHAT,
            provider="site",
            requester={"requester_id": "c-7", "name": "Sara Huber", "locale": "de-AT"},
            subject="A bill that came twice",
            body="My bill for October came twice. Which one is right?",
            type="billing",
            tags=["bill"],
            required_skills=[self.common.SkillRequirement(skill="de", min_level=3)],
        )
        first = self.client.call("intake", "CreateTicket", request)
        again = self.client.call("intake", "CreateTicket", request)
        check(first == again, f"the same request got another answer: {first} and {again}")
        check(first.number == number, f"the ticket has number {first.number}, not {number}")
        request.request_id = switchyard.new_id()
        self.refused("intake", "CreateTicket", request, grpc.StatusCode.ALREADY_EXISTS, "EXTERNAL_ID_EXISTS")
        self.ticket_id = first.ticket_id
        return f"ticket {first.number}, once"

    def offer(self):
        """Ada, who alone has both skills, is offered it and takes it."""

        def ours(message):
            change = message.change
            return change.event_type == "OfferMade" and change.offer.ticket_id == self.ticket_id

        offer = self.offers.until("the offer", ours).change.offer
        check(offer.agent_id == AGENT and offer.queue_id == QUEUE, f"another offer: {offer}")
        note = self.notes.until("the note", lambda message: message.notification.ticket_id == self.ticket_id)
        text = f"Ticket {len(self.previous) + 1} of Sara Huber is waiting for you"
        check(note.notification.text == text, f"the note says {note.notification.text!r}")
        of_bob = self.routing.AcceptOfferRequest(workspace_id=self.workspace, agent_id="bob", offer_id=offer.offer_id)
        self.refused(
            "routing", "AcceptOffer", of_bob, grpc.StatusCode.PERMISSION_DENIED, "OFFER_OF_ANOTHER_AGENT"
        )
        taken = self.call("routing", "AcceptOffer", agent_id=AGENT, offer_id=offer.offer_id)
        check(taken.ticket_id == self.ticket_id, "another ticket was accepted")
        ticket = self.ticket_when("Ada owns it", lambda ticket: ticket.agent_id == AGENT)
        check(ticket.queue_id == QUEUE, f"it is in queue {ticket.queue_id}")
        return "offered, announced, accepted"

    def conversation(self):
        """She answers and asks back; the ticket waits for the customer, whose answer brings it back to her."""
        common, kinds = self.common, self.events["intake"]
        reply = dict(ticket_id=self.ticket_id, author_kind=kinds.AUTHOR_KIND_AGENT, author_id=AGENT)
        self.call("intake", "AddMessage", visibility=1, body="The second one. Did you pay both?", **reply)
        self.call(
            "intake", "SetWaiting", ticket_id=self.ticket_id, status=common.TICKET_STATUS_PENDING, reason="asked back"
        )
        ticket = self.ticket()
        check(ticket.status == common.TICKET_STATUS_PENDING, f"it is {ticket.status}, not pending")
        self.call(
            "intake",
            "AddMessage",
            ticket_id=self.ticket_id,
            author_kind=kinds.AUTHOR_KIND_END_USER,
            visibility=1,
            body="Only the second one.",
        )
        ticket = self.ticket()
        check(ticket.status == common.TICKET_STATUS_OPEN, f"it is {ticket.status}, not open")
        check(ticket.message_count == 3, f"it has {ticket.message_count} messages")
        self.ticket_when("it is Ada's still", lambda ticket: ticket.agent_id == AGENT)
        return "reply, question, answer"

    def completion(self):
        """She solves it, and is free again."""
        common, events = self.common, self.events["routing"]
        self.call(
            "routing",
            "CompleteWork",
            agent_id=AGENT,
            ticket_id=self.ticket_id,
            outcome=events.WORK_OUTCOME_RESOLVED,
            note="Paid once, all is well",
        )
        self.ticket_when("it is solved", lambda ticket: ticket.status == common.TICKET_STATUS_RESOLVED)
        until("Ada is free", lambda: self.call("routing", "GetAgent", agent_id=AGENT).agent.used_units == 0)
        return "solved"

    def clocks(self):
        """Every promise was kept."""
        sla = self.sla

        def kept():
            clocks = self.call("sla", "GetClocks", ticket_id=self.ticket_id).clocks
            metrics = {clock.metric for clock in clocks if clock.state == sla.CLOCK_STATE_MET}
            return metrics >= {1, 3, 4} and clocks

        clocks = until("the clocks are met", kept)
        broken = [clock.clock_id for clock in clocks if clock.state == sla.CLOCK_STATE_BREACHED]
        check(not broken, f"broken promises: {broken}")
        return f"{len(clocks)} clocks, none broken"

    def timeline(self):
        """The whole story can be read from intake, with a part for each service."""
        until("the timeline is complete", lambda: not self.missing_chapters(self.ticket_id))
        entries = self.check_chapters(self.ticket_id)
        check(entries[0].event_type == "TicketOpened", f"it begins with {entries[0].event_type}")
        opened = [entry for entry in entries if entry.event_type == "TicketOpened"]
        check(len(opened) == 1, f"opened {len(opened)} times")
        return f"{len(entries)} entries"

    def told(self):
        """Every webhook has arrived, verified, once."""
        until("the webhooks are delivered", lambda: not self.undelivered(self.ticket_id))
        return f"{self.check_delivered(self.ticket_id)} deliveries of this ticket"

    def call(self, service, method, **fields):
        """A call in the workspace."""
        package = getattr(self, service)
        request = getattr(package, f"{method}Request")(**fields)
        if "workspace_id" in request.DESCRIPTOR.fields_by_name:
            request.workspace_id = self.workspace
        return self.client.call(service, method, request)

    def pages(self, service, method, field, **fields):
        """All items of a listing, by small pages."""
        token = ""
        while True:
            page = self.call(service, method, page_size=7, page_token=token, **fields)
            yield from getattr(page, field)
            token = page.next_page_token
            if not token:
                return

    def refused(self, service, method, request, code, reason):
        """The call must be refused for this reason."""
        try:
            self.client.call(service, method, request)
        except grpc.RpcError as error:
            got = (error.code(), switchyard.reason_of(error))
            check(got == (code, reason), f"{method} was refused as {got}, not {(code, reason)}")
        else:
            raise Failed(f"{method} was not refused")

    def ticket(self):
        """The ticket as it stands."""
        return self.call("intake", "GetTicket", ticket_id=self.ticket_id).ticket

    def ticket_when(self, what, holds):
        """The ticket, once something holds of it."""

        def look():
            ticket = self.ticket()
            return ticket if holds(ticket) else None

        return until(what, look)

    def entries(self, ticket_id):
        """The ticket's timeline."""
        return list(self.pages("intake", "GetTimeline", "entries", ticket_id=ticket_id))

    def missing_chapters(self, ticket_id):
        """What the timeline doesn't tell yet."""
        told = {(entry.service, entry.event_type) for entry in self.entries(ticket_id)}
        numbers = {name: number for number, name in enumerate(SERVICES, start=1)}
        return {kind for name, kinds in CHAPTERS.items() for kind in kinds if (numbers[name], kind) not in told}

    def check_chapters(self, ticket_id):
        """The timeline, which must be complete and in order."""
        missing = self.missing_chapters(ticket_id)
        check(not missing, f"the timeline of {ticket_id} lacks {sorted(missing)}")
        entries = self.entries(ticket_id)
        times = [entry.occurred_at.ToMilliseconds() for entry in entries]
        check(times == sorted(times), f"the timeline of {ticket_id} is out of order")
        check(all(entry.summary for entry in entries), f"the timeline of {ticket_id} has a step without words")
        return entries

    def deliveries(self, ticket_id):
        """The ticket's webhooks."""
        found = self.pages("notify", "ListDeliveries", "deliveries", ticket_id=ticket_id)
        return [delivery for delivery in found if delivery.channel == 1]

    def received(self):
        """What the receiver has counted."""
        with urllib.request.urlopen(f"{self.options.receiver}/deliveries", timeout=10) as reply:
            return json.load(reply)

    def undelivered(self, ticket_id):
        """Which events have no delivery yet, or one that is not over."""
        deliveries = self.deliveries(ticket_id)
        done = self.notify.DELIVERY_STATE_DELIVERED
        open_ones = {d.event_type for d in deliveries if d.state != done}
        return (set(HOOK_EVENTS) - {d.event_type for d in deliveries}) | open_ones

    def check_delivered(self, ticket_id):
        """Every webhook of the ticket is delivered, and the receiver has it."""
        left = self.undelivered(ticket_id)
        check(not left, f"webhooks of {ticket_id} are not delivered: {sorted(left)}")
        received = self.received()
        keys = [delivery.delivery_id for delivery in self.deliveries(ticket_id)]
        lost = set(keys) - set(received["keys"])
        check(not lost, f"delivered, but never received: {sorted(lost)}")
        check(received["rejected"] == 0, f"the receiver rejected {received['rejected']} webhooks")
        check(received["conflicting"] == 0, f"{received['conflicting']} keys came with two bodies")
        return len(keys)


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    for service in SERVICES:
        parser.add_argument(f"--{service}", required=True, metavar="HOST:PORT", help=f"where {service} listens")
    parser.add_argument("--webhook-url", required=True, help="the receiver, as notify reaches it")
    parser.add_argument("--webhook-secret", required=True, help="whsec_...")
    parser.add_argument("--receiver", required=True, help="the receiver, as this client reaches it")
    parser.add_argument("--workspace", default="story", help="the workspace; the same one finds its tickets again")
    parser.add_argument("--expect-previous", action="store_true", help="an earlier run's ticket must be there")
    return parser.parse_args()


def main():
    """Tells the story, or says why it could not."""
    options = arguments()
    with switchyard.generated():
        try:
            Story(options).tell()
        except Failed as failed:
            print(f"story: FAILED: {failed}", file=sys.stderr)
            return 1
        except grpc.RpcError as error:
            reason = switchyard.reason_of(error)
            print(f"story: FAILED: {error.code()} {reason}: {error.details()}", file=sys.stderr)
            return 1
    print("story: passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
