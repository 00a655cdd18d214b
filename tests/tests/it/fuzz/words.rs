//! Texts: such as a caller would send, and such as nobody should.

use tests::receiver::SECRET;
use tests::rng::Rng;

/// Stands in what customers say, so that a log line with it is a leak.
pub(super) const CANARY: &str = "flugelhorn";

/// Each could be taken for something else somewhere. None is an address: nothing may ever be sent out.
const ODD: [&str; 40] = [
    "",
    " ",
    "\0",
    "a\0b",
    "\n",
    "a\nb",
    "a\r\nb",
    "\u{85}",
    "\u{c}",
    "\u{7f}",
    "\u{1b}[31mred",
    "\u{202e}drawkcab",
    "\u{200b}",
    "\u{feff}x",
    "e\u{301}",
    "\u{1f642}",
    "\u{1f469}\u{200d}\u{1f469}\u{200d}\u{1f467}",
    "\u{fdfa}",
    "\u{10ffff}",
    "\u{130}",
    "\u{df}",
    "../../etc/passwd",
    "%00",
    "%s%n",
    "{{ 7*7 }}",
    "{% for",
    "'; --",
    "a b",
    "a.b",
    "C++",
    "a/b",
    "null",
    "-1",
    "1e999",
    "NaN",
    "0x10",
    "default",
    ".",
    "*",
    ">",
];
/// Just at and beyond the limits that the contract names, and some more.
const LENGTHS: [usize; 30] = [
    1, 2, 35, 36, 63, 64, 65, 127, 128, 129, 199, 200, 201, 299, 300, 301, 319, 320, 321, 500, 501,
    1_000, 1_001, 1_024, 1_025, 2_000, 2_001, 4_097, 65_536, 65_537,
];
/// Longer than a header may be, and seldom.
const HUGE: usize = 300_000;
const UNITS: [&str; 6] = ["x", "\u{e9}", "\u{20ac}", "\u{1f642}", "x ", "\n"];

const SAID: [&str; 6] = [
    "The flugelhorn is out of tune",
    "Nothing blinks, says the flugelhorn",
    "Gr\u{fc}\u{df}e, flugelhorn",
    "\u{7535}\u{8bdd}\u{574f}\u{4e86} flugelhorn",
    "flugelhorn",
    "It was the flugelhorn. Twice.",
];
const TAGS: [&str; 5] = ["router", "vip", "billing", "a-b", "x"];
const KINDS: [&str; 3] = ["question", "incident", "manual"];
const SKILLS: [&str; 4] = ["networks", "billing", "de", "fr"];
const ATTRIBUTES: [&str; 5] = ["flat", "plan", "l", "since", "x_1"];
const EVENTS: [&str; 12] = [
    "TicketOpened",
    "MessageAdded",
    "TicketUpdated",
    "StatusChanged",
    "OwnerChanged",
    "OfferMade",
    "OfferAccepted",
    "OfferDeclined",
    "TicketAssigned",
    "WorkCompleted",
    "ClockStarted",
    "ClockBreached",
];
const PATHS: [&str; 4] = ["priority", "type", "tags", "attributes"];
const FILTERS: [&str; 14] = [
    "",
    "true",
    "ticket.priority == \"p1\"",
    "\"router\" in ticket.tags",
    "ticket.attributes.flat == 9",
    "ticket.channel == \"email\" && ticket.subject.contains(\"x\")",
    "ticket.tags.size() > 1",
    "ticket.subject.startsWith(\"The\") || ticket.type == \"incident\"",
    "has(ticket.attributes.plan)",
    "ticket.tags.exists(t, t == \"vip\")",
    "ticket.subject.matches(\"^[a-z]+\")",
    "!(ticket.priority in [\"p1\", \"p2\"])",
    "ticket.requester_id == \"c-1\" ? true : false",
    "size(ticket.subject) > 10",
];
const CEL: [&str; 26] = [
    "ticket",
    ".",
    "attributes",
    "tags",
    "subject",
    "l",
    "[",
    "]",
    "(",
    ")",
    "==",
    "!=",
    "&&",
    "||",
    "in",
    "!",
    "\"a\"",
    "1",
    "9223372036854775808",
    "-",
    "?",
    ":",
    "matches",
    "map",
    "exists",
    "\\",
];
const TEMPLATES: [&str; 8] = [
    "",
    "{{ ticket.number }}",
    "{{ ticket.number }}: {{ ticket.requester_name }} is yours",
    "plain",
    "{% if ticket.priority == \"p1\" %}urgent{% endif %}",
    "{{ ticket.subject | upper }}",
    "{% for tag in ticket.tags %}{{ tag }} {% endfor %}",
    "{{ event.reason }}",
];
/// What once took a processor for long, and more of the kind.
const COSTLY_FILTERS: [&str; 6] = [
    "ticket.subject.matches('(a+)+$')",
    "ticket.subject.matches('\\w{48}') || ticket.body.matches('\\w{48}')",
    "[1,2,3].map(i, [ticket.attributes.l, ticket.attributes.l]) == []",
    "ticket.tags.exists(a, ticket.tags.exists(b, ticket.tags.exists(c, a == b + c)))",
    "ticket.attributes.l.all(x, x in ticket.attributes.l)",
    "ticket.subject + ticket.subject + ticket.body == ticket.body + ticket.subject",
];
const COSTLY_TEMPLATES: [&str; 6] = [
    "{% if [[[[1]*900]*900]*900]*900==[[[[1]*900]*900]*900]*900 %}{% endif %}",
    "{{ 'x' * 1000000000 }}",
    "{% for a in range(1000000000) %}{% endfor %}",
    "{% for a in ticket.tags %}{% for b in ticket.tags %}{{ b }}{% endfor %}{% endfor %}",
    "{{ ticket.subject | replace('', ticket.subject) | upper }}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
];
const JINJA: [&str; 22] = [
    "{{", "}}", "{%", "%}", "{#", "#}", "if", "endif", "for", "endfor", "in", "ticket", ".",
    "tags", "subject", "|", "upper", "join", "(", ")", "1", "\"a\"",
];

/// A text for a field of this name, as a caller would fill it; `None`: this module knows of none.
pub(super) fn tame(field: &str, rng: &mut Rng) -> Option<String> {
    let number = rng.below(5);
    let chosen = match field {
        "tags" | "tag" => rng.pick(&TAGS),
        "type" => rng.pick(&KINDS),
        "skill" => rng.pick(&SKILLS),
        "event_types" => rng.pick(&EVENTS),
        "paths" => rng.pick(&PATHS),
        "filter" => rng.pick(&FILTERS),
        "template" => rng.pick(&TEMPLATES),
        "attribute" => rng.pick(&ATTRIBUTES),
        "locale" => Some("hu"),
        // What an operator says is for the server's log.
        "actor" => Some("olga"),
        "reason" => Some("as agreed"),
        "provider" => Some("telegram"),
        "secret" => rng.pick(&["", SECRET]),
        "url" => Some("http://127.0.0.1:9/"),
        "recipients" => return Some(recipient(rng)),
        "addresses" => return Some(format!("c{number}@example.org")),
        "external_id" => return rng.percent(50).then(|| format!("x-{}", rng.below(10_000))),
        _ => rng.pick(&SAID),
    };
    chosen.map(str::to_owned)
}

fn recipient(rng: &mut Rng) -> String {
    match rng.below(4) {
        0 => "owner".to_owned(),
        1 => "all".to_owned(),
        2 => format!("agent:a-{}", rng.below(4)),
        _ => "queue:network".to_owned(),
    }
}

/// A text that nobody should send there. Never an address.
pub(super) fn odd(field: &str, rng: &mut Rng) -> String {
    match rng.below(10) {
        0..4 => rng.pick(&ODD).unwrap_or_default().to_owned(),
        4 | 5 => {
            let length = rng.pick(&LENGTHS).unwrap_or(1);
            rng.pick(&UNITS).unwrap_or("x").repeat(length)
        }
        6 if rng.percent(5) => "x".repeat(HUGE),
        6 if field == "filter" => rng.pick(&COSTLY_FILTERS).unwrap_or_default().to_owned(),
        6 if field == "template" => rng.pick(&COSTLY_TEMPLATES).unwrap_or_default().to_owned(),
        6 | 7 => {
            let words: &[&str] = match field {
                "filter" => &CEL,
                "template" => &JINJA,
                _ => &ODD,
            };
            let length = rng.below(12);
            (0..length).filter_map(|_| rng.pick(words)).collect::<Vec<_>>().join(" ")
        }
        _ => {
            let length = rng.below(20);
            let any = |rng: &mut Rng| {
                u32::try_from(rng.below(0x11_0000)).ok().and_then(char::from_u32).unwrap_or('?')
            };
            (0..length).map(|_| any(rng)).collect()
        }
    }
}

/// A token with something about it changed.
pub(super) fn mangled(token: &str, rng: &mut Rng) -> String {
    let mut bytes = token.as_bytes().to_vec();
    let at = rng.below(bytes.len());
    match rng.below(5) {
        0 => bytes.truncate(at),
        1 => bytes.extend(b"AA"),
        2 => bytes.insert(at, b'-'),
        3 => bytes.rotate_left(at),
        _ => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1),
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
