//! A webhook receiver on loopback that answers as it is told.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// A request as it arrived.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

#[derive(Clone)]
struct Script {
    answers: Arc<Mutex<VecDeque<u16>>>,
    arrived: mpsc::UnboundedSender<Arrived>,
}

pub(crate) struct Receiver {
    pub(crate) url: String,
    arrived: mpsc::UnboundedReceiver<Arrived>,
}

impl Receiver {
    /// An answer that never comes.
    pub(crate) const NEVER: u16 = 0;

    /// Answers with these statuses, one after another.
    pub(crate) async fn start(answers: impl IntoIterator<Item = u16>) -> Self {
        let (sender, arrived) = mpsc::unbounded_channel();
        let answers = Arc::new(Mutex::new(answers.into_iter().collect()));
        let script = Script { answers, arrived: sender };
        let router = Router::new().route("/hook", post(answer)).with_state(script);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, arrived }
    }

    /// The next request, once it has arrived.
    pub(crate) async fn next(&mut self) -> Arrived {
        self.arrived.recv().await.unwrap()
    }

    /// Whether nothing more arrived.
    pub(crate) fn is_quiet(&mut self) -> bool {
        self.arrived.try_recv().is_err()
    }
}

async fn answer(State(script): State<Script>, headers: HeaderMap, body: String) -> StatusCode {
    let status = script.answers.lock().unwrap().pop_front().unwrap();
    script.arrived.send(Arrived { headers, body }).unwrap();
    if status == Receiver::NEVER {
        std::future::pending::<()>().await;
    }
    StatusCode::from_u16(status).unwrap()
}
