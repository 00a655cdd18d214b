//! Gives every call that lasts a reader, and refuses it if there is no place for one. Lets large requests and answers
//! count.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;

use super::Readers;
use super::body::{Reading, answered, watched};
use super::request::received;
use super::turn::CountsAlready;

/// What lasts and is none of our contract.
const FOREIGN: [&str; 3] = [
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// How the paths end of calls whose requests are streams.
const REFLECTS: &str = "/ServerReflectionInfo";

/// Puts every call under its server's [`Readers`].
#[derive(Debug, Clone)]
pub(crate) struct ReadersLayer {
    readers: Readers,
    /// The paths of the methods whose answers are streams.
    lasting: Arc<HashSet<String>>,
}

impl ReadersLayer {
    pub(crate) fn new(readers: Readers) -> Self {
        let mut lasting: HashSet<String> = FOREIGN.map(str::to_owned).into();
        for service in wire::descriptors().services() {
            let streams =
                service.methods().filter(prost_reflect::MethodDescriptor::is_server_streaming);
            let name = service.full_name();
            lasting.extend(streams.map(|method| format!("/{name}/{}", method.name())));
        }
        Self { readers, lasting: Arc::new(lasting) }
    }
}

impl<S> tower::Layer<S> for ReadersLayer {
    type Service = Read<S>;

    fn layer(&self, inner: S) -> Read<S> {
        Read { inner, layer: self.clone() }
    }
}

/// See [`ReadersLayer`].
#[derive(Debug, Clone)]
pub(crate) struct Read<S> {
    inner: S,
    layer: ReadersLayer,
}

impl<S> tower::Service<Request<Body>> for Read<S>
where
    S: tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let readers = self.layer.readers.clone();
        // Reflection is the one that takes many messages, and only small ones: see where it is built.
        let many = request.uri().path().ends_with(REFLECTS);
        let request =
            if many { request } else { request.map(|body| received(body, readers.clone())) };
        if !self.layer.lasting.contains(request.uri().path()) {
            let answer = self.inner.call(request);
            return answer.map(|answer| answer.map(|it| counted(it, readers))).boxed();
        }
        let (mut head, body) = request.into_parts();
        let reading = match readers.admit(&head) {
            Ok(reader) => Reading(reader),
            Err(refusal) => {
                return std::future::ready(Ok(Status::from(refusal).into_http())).boxed();
            }
        };
        head.extensions.insert(Arc::clone(&reading.0));
        let answer = self.inner.call(Request::from_parts(head, body));
        answer.map(|answer| answer.map(|it| it.map(|body| watched(body, reading)))).boxed()
    }
}

/// The same answer, which counts if it is large: unless it does so already.
fn counted(answer: Response<Body>, readers: Readers) -> Response<Body> {
    if answer.extensions().get::<CountsAlready>().is_some() {
        return answer;
    }
    answer.map(|body| answered(body, readers))
}
