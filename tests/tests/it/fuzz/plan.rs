//! What is sent: mostly good requests, requests with a few or many bad fields, and what is wrong below them: bytes,
//! frames, headers.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use prost::Message as _;
use prost_reflect::{DynamicMessage, MethodDescriptor};
use tests::rng::Rng;

use super::draw::Draw;
use super::known::Known;
use super::shape;
use super::wire::{Sent, framed};
use super::words;

/// What is wrong with a call, if anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Nothing that this test knows of.
    Good,
    /// One field in eight.
    FewOdd,
    /// Every second field.
    ManyOdd,
    /// The message's bytes.
    Bytes,
    /// The frame around it, or its compression.
    Frame,
    /// A header.
    Header,
}

/// A call that was made up.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) way: Way,
    pub(super) sent: Sent,
    /// The message's bytes, as far as there is one.
    message: Option<Bytes>,
}

/// What calls are made up from.
pub(super) struct Planner<'a> {
    pub(super) rng: &'a mut Rng,
    pub(super) known: &'a Known,
    pub(super) workspaces: &'a [String],
    /// The server's clock in seconds since 1970.
    pub(super) now: i64,
    /// A request id that was never used.
    pub(super) fresh_id: String,
}

impl Planned {
    /// The request as the server should understand it, if it can.
    pub(super) fn understood(&self, method: &MethodDescriptor) -> Option<DynamicMessage> {
        DynamicMessage::decode(method.input(), self.message.clone()?).ok()
    }
}

impl Planner<'_> {
    pub(super) fn plan(&mut self, method: &MethodDescriptor) -> Planned {
        let way = match self.rng.below(100) {
            0..45 => Way::Good,
            45..65 => Way::FewOdd,
            65..78 => Way::ManyOdd,
            78..88 => Way::Bytes,
            88..93 => Way::Frame,
            _ => Way::Header,
        };
        self.plan_way(method, way)
    }

    pub(super) fn plan_way(&mut self, method: &MethodDescriptor, way: Way) -> Planned {
        let odd = match way {
            Way::Good | Way::Bytes | Way::Frame | Way::Header => 0,
            Way::FewOdd => 12,
            Way::ManyOdd => 50,
        };
        let bytes = self.message(method, odd, way == Way::Bytes).encode_to_vec();
        let mut headers = usual_headers();
        let mut verb = Method::POST;
        let (message, body) = match way {
            Way::Good | Way::FewOdd | Way::ManyOdd => whole(bytes),
            Way::Bytes => whole(self.harmed(bytes)),
            Way::Frame => self.frame(bytes, &mut headers),
            Way::Header => {
                self.header(&mut headers, &mut verb);
                whole(bytes)
            }
        };
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        Planned { way, sent: Sent { path, verb, headers, body }, message }
    }

    fn message(&mut self, method: &MethodDescriptor, odd: usize, nameless: bool) -> DynamicMessage {
        let input = method.input();
        let fields: Vec<_> = input.fields().map(|field| field.name().to_owned()).collect();
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        let mut draw = Draw {
            record: self.known.fitting(&fields, self.rng).unwrap_or_default(),
            rng: self.rng,
            known: self.known,
            workspaces: self.workspaces,
            method: method.full_name(),
            odd,
            now: self.now,
            fresh_id: self.fresh_id.clone(),
        };
        let mut message = draw.message(&input, 0);
        if odd == 0 {
            shape::fit(method, &mut message, &mut draw);
        }
        // A flipped bit must not make another address of a good one.
        if nameless
            && let Some(endpoint) = message.get_field_by_name_mut("endpoint")
            && let Some(endpoint) = endpoint.as_message_mut()
        {
            endpoint.clear_field_by_name("url");
        }
        message
    }

    /// An encoded message, and what may have become of it on a bad way.
    fn harmed(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        let rng = &mut *self.rng;
        for _ in 0..=rng.below(3) {
            let at = rng.below(bytes.len());
            match rng.below(9) {
                0 => bytes.truncate(at),
                1 => {
                    let length = rng.below(30);
                    let more = rng.bytes(length);
                    bytes.splice(at..at, more);
                }
                // All fields once more.
                2 => bytes.extend_from_within(..),
                3 => bytes.rotate_left(at),
                // Field 1, so long that nobody has it.
                4 => bytes.extend([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]),
                // Groups in groups, which nobody ends.
                5 => bytes.extend([0x0b; 300]),
                // A field 1 that is no text, and one of a wire type that there isn't.
                6 => bytes.extend([0x0a, 2, 0xc3, 0x28, 0x0e]),
                _ => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << rng.below(8)),
            }
        }
        bytes
    }

    fn frame(
        &mut self,
        bytes: Vec<u8>,
        headers: &mut Vec<(HeaderName, HeaderValue)>,
    ) -> (Option<Bytes>, Bytes) {
        let length = bytes.len();
        let mut encoded = |name: &'static str| {
            headers.push((ENCODING, HeaderValue::from_static(name)));
        };
        match self.rng.below(12) {
            0 => (None, Bytes::new()),
            1 => (None, Bytes::from_static(&[0, 0, 0])),
            2 => (None, framed(0, length + 1, &bytes)),
            3 => (None, framed(0, length / 2, &bytes)),
            4 => (None, framed(0, usize::MAX, &bytes)),
            5 => (None, framed(1, length, &bytes)),
            6 => (None, framed(7, length, &bytes)),
            7 => {
                encoded("snappy");
                (None, framed(1, length, &bytes))
            }
            // Compressed as it says: this one is to be understood.
            8 => {
                encoded("zstd");
                let small = zstd::bulk::compress(&bytes, 1).unwrap_or_default();
                (Some(bytes.into()), framed(1, small.len(), &small))
            }
            9 => {
                encoded(self.rng.pick(&["gzip", "zstd"]).unwrap_or("gzip"));
                (None, framed(1, length, &bytes))
            }
            // Far more than it looks.
            10 => {
                encoded("zstd");
                let bomb = zstd::bulk::compress(&vec![0; 64 * 1024 * 1024], 1).unwrap_or_default();
                (None, framed(1, bomb.len(), &bomb))
            }
            // Two messages, where one is expected: if any is taken, the first.
            _ => {
                let mut twice = framed(0, length, &bytes).to_vec();
                twice.extend_from_within(..);
                (Some(bytes.into()), twice.into())
            }
        }
    }

    fn header(&mut self, headers: &mut Vec<(HeaderName, HeaderValue)>, verb: &mut Method) {
        let rng = &mut *self.rng;
        let position = self.known.position(rng).unwrap_or("intake.0.00.1").to_owned();
        let mut put = |name: HeaderName, value: &str| {
            headers.retain(|(other, _)| *other != name);
            headers.extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
        };
        match rng.below(12) {
            0 | 1 => put(TIMEOUT, rng.pick(&TIMEOUTS).unwrap_or_default()),
            2 => put(POSITION, &position),
            3 => put(POSITION, &words::mangled(&position, rng)),
            4 => {
                // Ahead of what was ever written: not to be waited for.
                put(TIMEOUT, "20m");
                let log = position.rsplit_once('.').map_or(position.as_str(), |(log, _)| log);
                put(POSITION, &format!("{log}.18446744073709551615"));
            }
            5 => put(POSITION, &vec![position; rng.below(80)].join(",")),
            6 => headers.push((POSITION, HeaderValue::from_static("\u{7e}"))),
            7 => put(CONTENT, rng.pick(&CONTENTS).unwrap_or_default()),
            8 => put(TRACE, rng.pick(&TRACES).unwrap_or_default()),
            9 => {
                // Takes a right away, and gives none.
                put(FORWARDED, rng.pick(&["", "1", "yes", "0"]).unwrap_or_default());
            }
            10 if rng.percent(20) => *verb = Method::GET,
            10 => put(HeaderName::from_static("x-long"), &"x".repeat(rng.below(8_000))),
            _ => {
                let raw = HeaderValue::from_bytes(b"\xff\xfe\xc3").ok();
                headers.extend(raw.map(|value| (POSITION, value)));
            }
        }
    }
}

const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const POSITION: HeaderName = HeaderName::from_static("x-switchyard-position");
const FORWARDED: HeaderName = HeaderName::from_static("x-switchyard-forwarded");
const CONTENT: HeaderName = http::header::CONTENT_TYPE;
const TRACE: HeaderName = HeaderName::from_static("traceparent");

const TIMEOUTS: [&str; 12] =
    ["", "0S", "0n", "1n", "1u", "99999999H", "123456789S", "-1S", "1.5S", "5", "S", "abc"];
const CONTENTS: [&str; 5] =
    ["", "text/html", "application/json", "application/grpc+json", "application/grpc; x"];
const TRACES: [&str; 5] = [
    "",
    "00",
    "00-00000000000000000000000000000000-0000000000000000-00",
    "ff-x-y-z",
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
];

fn usual_headers() -> Vec<(HeaderName, HeaderValue)> {
    vec![
        (CONTENT, HeaderValue::from_static("application/grpc")),
        (http::header::TE, HeaderValue::from_static("trailers")),
        (TIMEOUT, HeaderValue::from_static("20S")),
    ]
}

fn whole(bytes: Vec<u8>) -> (Option<Bytes>, Bytes) {
    let body = framed(0, bytes.len(), &bytes);
    (Some(bytes.into()), body)
}
