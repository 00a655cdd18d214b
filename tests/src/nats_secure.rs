//! A nats-server as `deploy/nats-secure.conf` has it: TLS both ways, and a user for each service that may write its own
//! log alone.

use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair,
};
use tempfile::TempDir;

use crate::nats_server::Server;

/// A running server and everybody's certificates. Killed when dropped.
#[derive(Debug)]
pub struct SecureNats {
    server: Server,
    port: u16,
    directory: TempDir,
}

impl SecureNats {
    /// Starts one with the file that operators are given, and makes a certificate for each user of it.
    pub async fn start() -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let users = ["intake", "routing", "sla", "notify", "ops", "stranger"];
        certificates(directory.path(), &users)?;
        let file = |name: &str| directory.path().join(name);
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/nats-secure.conf");
        let mut server = Server::start(directory.path(), &config, |command| {
            command
                .args(["--addr", "127.0.0.1", "--port", "-1"])
                .env("NATS_TLS_CERT", file("server.pem"))
                .env("NATS_TLS_KEY", file("server.key"))
                .env("NATS_TLS_CA", file("ca.pem"))
                .env("NATS_STORE", file("store"));
        })?;
        let [port] = server.ports(["nats"]).await?;
        Ok(Self { server, port, directory })
    }

    /// The server's address, for clients with TLS.
    pub fn url(&self) -> String {
        format!("tls://127.0.0.1:{}", self.port)
    }

    /// What a command is told that comes as this user.
    pub fn flags(&self, user: &str) -> Vec<String> {
        let file = |name: String| self.directory.path().join(name).display().to_string();
        [
            ("--log", self.url()),
            ("--nats-ca", file("ca.pem".to_owned())),
            ("--nats-cert", file(format!("{user}.pem"))),
            ("--nats-key", file(format!("{user}.key"))),
            ("--nats-inbox-prefix", format!("_INBOX_{user}")),
        ]
        .into_iter()
        .flat_map(|(flag, value)| [flag.to_owned(), value])
        .collect()
    }

    /// What the server has printed.
    pub fn said(&self) -> String {
        self.server.said()
    }
}

/// An authority, the server's certificate for this host, and one for each user.
fn certificates(directory: &Path, users: &[&str]) -> anyhow::Result<()> {
    let named = |name: &str, hosts: &[&str]| -> anyhow::Result<CertificateParams> {
        let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
        let mut params = CertificateParams::new(hosts)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        Ok(params)
    };
    let mut authority = named("a test's authority", &[])?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate()?;
    std::fs::write(directory.join("ca.pem"), authority.self_signed(&key)?.pem())?;
    let issuer = Issuer::new(authority, key);
    let sign = |file: &str, mut params: CertificateParams, usage| -> anyhow::Result<()> {
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate()?;
        let signed = params.signed_by(&key, &issuer)?;
        std::fs::write(directory.join(format!("{file}.pem")), signed.pem())?;
        Ok(std::fs::write(directory.join(format!("{file}.key")), key.serialize_pem())?)
    };
    let host = named("nats", &["127.0.0.1", "localhost"])?;
    sign("server", host, ExtendedKeyUsagePurpose::ServerAuth)?;
    users
        .iter()
        .try_for_each(|user| sign(user, named(user, &[])?, ExtendedKeyUsagePurpose::ClientAuth))
}
