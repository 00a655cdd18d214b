//! Against real receivers on loopback.

use std::net::Ipv4Addr;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;

/// Far from the wall clock's: a message is signed with the time that it is given.
const NOW: Timestamp = Timestamp::from_millis(4_102_444_800_999);
const OLD: &str = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz";
const NEW: &str = "whsec_enl4d3Z1dHNycXBvbm1sa2ppaGdmZWRj";

type Seen = mpsc::UnboundedSender<(HeaderMap, String)>;

async fn receiver(router: Router) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/hook?token=s3cr3t")
}

fn keys() -> Keys {
    Keys::parse("c3dpdGNoeWFyZCdzIHRlc3RzIHNlYWwgd2l0aCB0aGk=").unwrap()
}

fn sender(allow_private_endpoints: bool) -> Sender {
    Sender::new(Config { allow_private_endpoints }, keys()).unwrap()
}

fn message(url: String) -> Message {
    let (workspace, endpoint) = (WorkspaceId::trusted("acme"), EndpointId::trusted("hook"));
    let secrets = [NEW, OLD].map(|it| keys().seal(&workspace, &endpoint, it).unwrap()).into();
    let body = r#"{"type":"ClockBreached"}"#.into();
    Message { workspace, endpoint, id: "d-1".to_owned(), url: Address::new(url), secrets, body }
}

fn answered(status: u16) -> AttemptResult {
    AttemptResult::Answered { status, retry_after_ms: None }
}

#[tokio::test]
async fn every_secret_signs_and_a_receiver_can_verify_with_either() {
    async fn take(State(seen): State<Seen>, headers: HeaderMap, body: String) -> StatusCode {
        seen.send((headers, body)).unwrap();
        StatusCode::NO_CONTENT
    }
    let (seen, mut requests) = mpsc::unbounded_channel();
    let url = receiver(Router::new().route("/hook", post(take)).with_state(seen)).await;
    let message = message(url);
    assert_eq!(sender(true).send(&message, NOW).await, answered(204));
    let (headers, body) = requests.recv().await.unwrap();
    assert_eq!(*body, *message.body);
    assert_eq!(headers[HEADER_WEBHOOK_ID], "d-1");
    assert_eq!(headers[CONTENT_TYPE], "application/json");
    assert_eq!(headers[HEADER_WEBHOOK_TIMESTAMP], "4102444800");
    let signatures = headers[HEADER_WEBHOOK_SIGNATURE].to_str().unwrap();
    let verified = |secret: &str| {
        let webhook = standardwebhooks::Webhook::new(secret).unwrap();
        let wanted = webhook.sign("d-1", NOW.as_millis() / 1_000, body.as_bytes()).unwrap();
        signatures.split(' ').any(|given| given == wanted)
    };
    assert!(verified(OLD) && verified(NEW));
    assert!(!verified("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
}

#[tokio::test]
async fn redirects_are_not_followed_and_a_wish_for_rest_is_heard() {
    async fn away() -> impl IntoResponse {
        (StatusCode::TEMPORARY_REDIRECT, [("location", "/hook")])
    }
    async fn busy() -> impl IntoResponse {
        (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "7")])
    }
    let url = receiver(Router::new().route("/hook", post(away))).await;
    assert_eq!(sender(true).send(&message(url), NOW).await, answered(307));
    let url = receiver(Router::new().route("/hook", post(busy))).await;
    let rest = AttemptResult::Answered { status: 429, retry_after_ms: Some(7_000) };
    assert_eq!(sender(true).send(&message(url), NOW).await, rest);
}

#[tokio::test]
async fn what_was_not_sent_is_told_from_what_may_have_arrived() {
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}/", closed.local_addr().unwrap());
    drop(closed);
    assert_eq!(sender(true).send(&message(url), NOW).await, not_sent("connect"));

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        // Reads what comes and hangs up without a word.
        let mut some = [0; 16];
        tokio::io::AsyncReadExt::read_exact(&mut stream, &mut some).await.unwrap();
    });
    let lost = AttemptResult::Lost { error: "connection_lost".to_owned() };
    assert_eq!(sender(true).send(&message(url), NOW).await, lost);
}

#[tokio::test]
async fn nothing_goes_to_private_addresses_unless_the_operator_says_so() {
    let (seen, mut requests) = mpsc::unbounded_channel::<()>();
    let take = async move || seen.send(()).unwrap();
    let url = receiver(Router::new().route("/hook", post(take))).await;
    let port = url.rsplit(':').next().unwrap().split('/').next().unwrap();
    for url in [url.clone(), format!("https://127.0.0.1:{port}/"), "https://localhost/".into()] {
        assert_eq!(sender(false).send(&message(url), NOW).await, not_sent("address_refused"));
    }
    assert!(requests.try_recv().is_err());
    let by_name = format!("http://localhost:{port}/hook");
    assert_eq!(sender(true).send(&message(by_name), NOW).await, answered(200));
}

#[tokio::test]
async fn without_certificate_authorities_https_says_so_and_http_works() {
    let ok = async || StatusCode::OK;
    let url = receiver(Router::new().route("/hook", post(ok))).await;
    let sender = Sender { https: None, ..sender(true) };
    assert_eq!(sender.send(&message(url.clone()), NOW).await, answered(200));
    let over_tls = message(url.replace("http://", "https://"));
    assert_eq!(sender.send(&over_tls, NOW).await, not_sent("no_certificate_authorities"));
}

#[test]
fn one_bad_address_among_good_ones_is_refused() {
    let looked = Looked { public: true, private: false };
    let all = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
    assert!(looked.check(&all(&["93.184.215.14:0", "[2606:4700::1]:0"])).is_ok());
    assert!(looked.check(&all(&["93.184.215.14:0", "127.0.0.1:0"])).is_err());
    assert!(looked.check(&all(&["93.184.215.14:0", "169.254.169.254:0"])).is_err());
}

#[test]
fn a_date_to_return_at_is_read_too() {
    let now = Timestamp::from_millis((784_111_777 - 90) * 1_000);
    for (text, expected) in [
        ("Sun, 06 Nov 1994 08:49:37 GMT", Some(90_000)),
        ("Sun, 06 Nov 1994 08:40:00 GMT", Some(0)),
        ("120", Some(120_000)),
        ("soon", None),
        ("-5", None),
    ] {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
        assert_eq!(retry_after(&headers, now), expected, "{text}");
    }
}

#[tokio::test]
async fn what_is_sealed_with_another_key_or_for_another_endpoint_is_not_sent() {
    let (seen, mut requests) = mpsc::unbounded_channel::<()>();
    let take = async move || seen.send(()).unwrap();
    let url = receiver(Router::new().route("/hook", post(take))).await;
    let other = Keys::parse(&Keys::generate().unwrap()).unwrap();
    let without = Sender { keys: other, ..sender(true) };
    let refused = without.send(&message(url.clone()), NOW).await;
    assert_eq!(refused, not_sent("secret_key_missing"));
    let elsewhere = Message { endpoint: EndpointId::trusted("other"), ..message(url) };
    assert_eq!(sender(true).send(&elsewhere, NOW).await, not_sent("secret_damaged"));
    assert!(requests.try_recv().is_err());
}

#[test]
fn no_secret_is_shown() {
    let message = message("https://hooks.example/t0k3n".into());
    let shown = format!("{message:?} {:?} {:?}", sender(true), message.secrets);
    assert!(!shown.contains("MDEy") && !shown.contains("t0k3n"), "{shown}");
}
