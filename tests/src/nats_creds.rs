//! A nats-server in operator mode: the operator vouches for accounts, an account for its users, and a user proves by a
//! key who it is.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::api::new_id;
use crate::nats_server::Server;

/// A running server that knows one account, and credentials files: some good, some not. Killed when dropped.
#[derive(Debug)]
pub struct CredsNats {
    server: Server,
    port: u16,
    seeds: Vec<String>,
    directory: TempDir,
}

impl CredsNats {
    /// Starts one, and writes a credentials file for each of these:
    ///
    /// - `switchyard`: a user of the account that the server knows, which may do all that the account may.
    /// - `stranger`: a user of an account that the same operator vouches for, but that the server was never told of.
    /// - `impostor`: what `switchyard` shows, with the key of another user.
    pub async fn start() -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let operator = KeyPair::new_operator();
        let [known, unknown] = [KeyPair::new_account(), KeyPair::new_account()];
        let [user, stranger, other] = [(); 3].map(|()| KeyPair::new_user());
        let vouched_for = vouch(&known, "switchyard", &user, &user_claims())?;
        let unheard_of = vouch(&unknown, "stranger", &stranger, &user_claims())?;
        let file = |name: &str| directory.path().join(name);
        let shown = [
            ("switchyard", &vouched_for, &user),
            ("stranger", &unheard_of, &stranger),
            ("impostor", &vouched_for, &other),
        ];
        let mut seeds = Vec::new();
        for (name, jwt, key) in shown {
            let seed = key.seed()?;
            write_secret(&file(&format!("{name}.creds")), &credentials(jwt, &seed))?;
            seeds.push(seed);
        }
        let config = file("nats.conf");
        std::fs::write(&config, server_config(&operator, &known, &file("store"))?)?;
        let mut server = Server::start(directory.path(), &config, |_| {})?;
        let [port] = server.ports(["nats"]).await?;
        Ok(Self { server, port, seeds, directory })
    }

    /// The server's address.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The credentials file of one of those for whom there is one.
    pub fn credentials(&self, user: &str) -> PathBuf {
        self.directory.path().join(format!("{user}.creds"))
    }

    /// The secret part of every credentials file.
    pub fn seeds(&self) -> &[String] {
        &self.seeds
    }

    /// What the server has printed.
    pub fn said(&self) -> String {
        self.server.said()
    }
}

/// A JWT, as NATS has them, in which `issuer` says of the one with the key `subject` what it is and may.
fn vouch(
    issuer: &KeyPair,
    name: &str,
    subject: &KeyPair,
    claims: &Value,
) -> anyhow::Result<String> {
    let header = json!({ "typ": "JWT", "alg": "ed25519-nkey" });
    let claims = json!({
        "jti": new_id(),
        "iat": SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(),
        "iss": issuer.public_key(),
        "name": name,
        "sub": subject.public_key(),
        "nats": claims,
    });
    let encoded = [header, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string()));
    let said = encoded.join(".");
    let signature = issuer.sign(said.as_bytes())?;
    Ok(format!("{said}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
}

fn operator_claims() -> Value {
    json!({ "type": "operator", "version": 2 })
}

/// An account that may do everything, and store as much as is said: -1 is without limit.
fn account_claims(store_max: i32) -> Value {
    json!({ "type": "account", "version": 2, "limits": {
        "subs": -1, "data": -1, "payload": -1, "conn": -1, "leaf": -1,
        "imports": -1, "exports": -1, "wildcards": true,
        "mem_storage": store_max, "disk_storage": store_max, "streams": store_max, "consumer": store_max,
    }})
}

/// A user without limits of its own.
fn user_claims() -> Value {
    json!({ "type": "user", "version": 2, "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1 })
}

/// An operator and two accounts: one that keeps streams, and the server's own, without which none can.
fn server_config(operator: &KeyPair, account: &KeyPair, store: &Path) -> anyhow::Result<String> {
    let own = KeyPair::new_account();
    let itself = vouch(operator, "operator", operator, &operator_claims())?;
    let of_account = vouch(operator, "tests", account, &account_claims(-1))?;
    let of_own = vouch(operator, "system", &own, &account_claims(0))?;
    let [account, own] = [account, &own].map(KeyPair::public_key);
    let store = store.display();
    Ok(format!(
        "listen: \"127.0.0.1:-1\"\n\
         max_payload: 1MB\n\
         operator: {itself}\n\
         resolver: MEMORY\n\
         resolver_preload: {{ {account}: {of_account}, {own}: {of_own} }}\n\
         system_account: {own}\n\
         jetstream {{ store_dir: \"{store}\", sync_interval: always, max_file_store: 4GB }}\n"
    ))
}

/// The text of a credentials file, as NATS's own tools write it.
fn credentials(jwt: &str, seed: &str) -> String {
    format!(
        "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )
}

/// Writes a new file that its owner alone may read.
pub fn write_secret(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}
