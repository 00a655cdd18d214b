//! What the server says of itself: its services, their methods and messages, by reflection.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail, ensure};
use futures::stream;
use prost::Message as _;
use prost_reflect::{DescriptorPool, MethodDescriptor};
use prost_types::{FileDescriptorProto, FileDescriptorSet};
use tokio_stream::StreamExt as _;
use tonic::transport::Channel;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest as Question;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse as Answer;

/// The packages of ours begin so.
const OURS: &str = "switchyard.";

/// All methods of all services of ours that the server has, in the order of their names. Every service of the contract
/// must be there.
pub(super) async fn all(channel: &Channel) -> anyhow::Result<Vec<MethodDescriptor>> {
    let mut reflection = Reflection { client: ServerReflectionClient::new(channel.clone()) };
    let mut names = reflection.services().await?;
    names.retain(|name| name.starts_with(OURS));
    names.sort_unstable();
    let pool = reflection.pool(&names).await?;
    let mut methods = Vec::new();
    for name in &names {
        let service = pool.get_service_by_name(name).with_context(|| format!("no {name}"))?;
        methods.extend(service.methods());
    }
    let known = wire::descriptors().services().flat_map(|service| {
        service.methods().map(|method| method.full_name().to_owned()).collect::<Vec<_>>()
    });
    for method in known.filter(|name| name.starts_with(OURS)) {
        let served = methods.iter().any(|it| it.full_name() == method);
        ensure!(served, "{method} is in the contract, and reflection does not show it");
    }
    Ok(methods)
}

struct Reflection {
    client: ServerReflectionClient<Channel>,
}

impl Reflection {
    async fn ask(&mut self, question: Question) -> anyhow::Result<Answer> {
        let request =
            ServerReflectionRequest { host: String::new(), message_request: Some(question) };
        let asked = stream::iter([request]);
        let mut answers = self.client.server_reflection_info(asked).await?.into_inner();
        let answer = answers.next().await.context("reflection says nothing")??;
        answer.message_response.context("reflection answers nothing")
    }

    async fn services(&mut self) -> anyhow::Result<Vec<String>> {
        match self.ask(Question::ListServices(String::new())).await? {
            Answer::ListServicesResponse(list) => {
                Ok(list.service.into_iter().map(|service| service.name).collect())
            }
            other @ (Answer::FileDescriptorResponse(_)
            | Answer::AllExtensionNumbersResponse(_)
            | Answer::ErrorResponse(_)) => bail!("no list of services: {other:?}"),
        }
    }

    async fn files(&mut self, question: Question) -> anyhow::Result<Vec<FileDescriptorProto>> {
        match self.ask(question).await? {
            Answer::FileDescriptorResponse(files) => {
                let files = files.file_descriptor_proto.iter();
                Ok(files
                    .map(|file| FileDescriptorProto::decode(&**file))
                    .collect::<Result<_, _>>()?)
            }
            other @ (Answer::ListServicesResponse(_)
            | Answer::AllExtensionNumbersResponse(_)
            | Answer::ErrorResponse(_)) => bail!("no file: {other:?}"),
        }
    }

    /// The files of these services, and all that they import.
    async fn pool(&mut self, services: &[String]) -> anyhow::Result<DescriptorPool> {
        let mut files = BTreeMap::new();
        let mut wanted: Vec<Question> =
            services.iter().cloned().map(Question::FileContainingSymbol).collect();
        while let Some(question) = wanted.pop() {
            for file in self.files(question).await? {
                let imports = file.dependency.iter().filter(|name| !files.contains_key(*name));
                wanted.extend(imports.cloned().map(Question::FileByFilename));
                files.insert(file.name().to_owned(), file);
            }
        }
        let set = FileDescriptorSet { file: files.into_values().collect() };
        Ok(DescriptorPool::from_file_descriptor_set(set)?)
    }
}
