//! Doors with a lock: TLS, a token, basic auth. Every client that we ship or serve gets in with the key, and none
//! without it.

use std::path::{Path, PathBuf};

use futures::StreamExt as _;
use hindcast_proto::observer::GetFlowsRequest;
use hindcast_proto::observer::observer_client::ObserverClient;
use hindcast_tests::tool::{Ended, run_hindcast};
use hindcast_tests::{Options, Server};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::Value;
use tempfile::{TempDir, tempdir};
use tonic::metadata::MetadataValue;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Identity};
use tonic::{Code, Request, Status};

const TOKEN: &str = "let-me-in";
/// `hubble:secret`, as basic auth sends it.
const BASIC: &str = "Basic aHViYmxlOnNlY3JldA==";

/// The keys of a house: an authority, and a certificate of it for this machine's loopback.
struct Keys {
    folder: TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Keys {
    fn cut() -> Self {
        let folder = tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        std::fs::write(folder.path().join("token"), TOKEN).unwrap();
        let keys = Self { folder, authority };
        let (certificate, key) = keys.certificate();
        std::fs::write(keys.path("server.pem"), certificate).unwrap();
        std::fs::write(keys.path("server.key"), key).unwrap();
        keys
    }

    /// A certificate of the authority and its key, as PEM.
    fn certificate(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        (params.signed_by(&key, &self.authority).unwrap().pem(), key.serialize_pem())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn pem(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// A server with the certificate, and with what else is set under `web`; it may not answer yet.
    fn serve(&self, more: &[(&str, &str)]) -> Server {
        let set = |(name, value): (&str, String)| (format!("HINDCAST_WEB_{name}"), value);
        let file = |name: &str| self.path(name).display().to_string();
        let files = [("TLS_CERT_FILE", file("server.pem")), ("TLS_KEY_FILE", file("server.key"))];
        let more = more.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let environment = files.into_iter().chain(more).map(set).collect();
        let options = Options { environment, is_encrypted: true, ..Options::default() };
        Server::spawn(&self.path("data"), &options).unwrap()
    }

    /// A command of ours against the server, with the authority known and the token in hand or not.
    fn run(&self, server: &Server, has_token: bool, arguments: &[&str]) -> Ended {
        let (command, rest) = arguments.split_first().unwrap();
        let ca = self.path("ca.pem").display().to_string();
        let token = self.path("token").display().to_string();
        let door = if *command == "import" { server.grpc_url() } else { server.url("") };
        let mut all = vec![*command, "--server", &door, "--tls-ca", &ca];
        if has_token {
            all.extend(["--token-file", &token]);
        }
        all.extend(rest);
        run_hindcast(all).unwrap()
    }
}

/// All flows over gRPC, as a client with that credential and certificate sees them.
async fn flows(
    server: &Server,
    authority: &str,
    identity: Option<Identity>,
    credential: Option<&'static str>,
) -> Result<usize, Status> {
    let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority));
    if let Some(identity) = identity {
        tls = tls.identity(identity);
    }
    let endpoint = Channel::from_shared(server.grpc_url()).unwrap().tls_config(tls).unwrap();
    let channel = endpoint.connect().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let mut request = Request::new(GetFlowsRequest { number: 100, ..GetFlowsRequest::default() });
    if let Some(credential) = credential {
        request.metadata_mut().insert("authorization", MetadataValue::from_static(credential));
    }
    let mut stream = ObserverClient::new(channel).get_flows(request).await?.into_inner();
    let mut n_answers = 0;
    while let Some(answer) = stream.next().await {
        answer?;
        n_answers += 1;
    }
    Ok(n_answers)
}

/// [`flows`] of a server that may not answer yet.
async fn first_flows(
    server: &Server,
    authority: &str,
    identity: Option<Identity>,
    credential: Option<&'static str>,
) -> usize {
    for _ in 0..600 {
        match flows(server, authority, identity.clone(), credential).await {
            Err(status) if status.code() == Code::Unavailable => {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            found => return found.unwrap(),
        }
    }
    panic!("no answer: {}", server.said())
}

fn recording(folder: &Path) -> String {
    let path = folder.join("flow.jsonl");
    let line = r#"{"flow":{"time":"2026-08-22T10:00:01Z","verdict":"FORWARDED","node_name":"n1","is_reply":false,"Type":"L3_L4"},"node_name":"n1","time":"2026-08-22T10:00:01Z"}"#;
    std::fs::write(&path, format!("{line}\n")).unwrap();
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn locked_doors_open_with_the_key_and_only_with_it() {
    let keys = Keys::cut();
    let token = keys.path("token").display().to_string();
    let server = keys.serve(&[("AUTH_TOKEN_FILE", &token), ("AUTH_USER", "hubble"), ("AUTH_PASSWORD", "secret")]);
    let authority = keys.pem("ca.pem");
    assert_eq!(first_flows(&server, &authority, None, Some("Bearer let-me-in")).await, 0);
    let file = recording(keys.folder.path());
    let printed = keys.run(&server, true, &["import", "--summary", "json", &file]).success().unwrap();
    let summary: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(summary["recorded"], 1, "{summary}");
    let count = ["sql", "-o", "csv", "SELECT count(*) AS n FROM flows"];
    assert_eq!(keys.run(&server, true, &count).success().unwrap(), "n\n1\n");
    assert_eq!(keys.run(&server, true, &["observe", "-o", "json"]).success().unwrap().lines().count(), 1);

    for arguments in [&count[..], &["observe"], &["status"], &["import", &file]] {
        let refused = keys.run(&server, false, arguments);
        assert_eq!(refused.code, Some(1), "{arguments:?} got in without a token: {}", refused.stdout);
        assert!(refused.stderr.contains("credential"), "{arguments:?}: {}", refused.stderr);
    }
    let plain = run_hindcast(["status", "--server", &server.url("").replace("https:", "http:")]).unwrap();
    assert_eq!(plain.code, Some(1), "{}", plain.stdout);
    let untrusted = run_hindcast(["status", "--server", &server.url("")]).unwrap();
    assert!(untrusted.stderr.contains("certificate"), "{}", untrusted.stderr);

    assert_eq!(flows(&server, &authority, None, Some("Bearer let-me-in")).await.unwrap(), 1);
    assert_eq!(flows(&server, &authority, None, Some(BASIC)).await.unwrap(), 1);
    for wrong in [None, Some("Bearer let-me-out"), Some("Basic aHViYmxlOndyb25n")] {
        let refused = flows(&server, &authority, None, wrong).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{wrong:?}: {refused}");
    }
    server.stop().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_that_knows_its_clients_lets_in_no_others() {
    let keys = Keys::cut();
    let ca = keys.path("ca.pem").display().to_string();
    let (certificate, key) = keys.certificate();
    let server = keys.serve(&[("TLS_CLIENT_CA_FILE", &ca)]);
    let authority = keys.pem("ca.pem");
    assert_eq!(first_flows(&server, &authority, Some(Identity::from_pem(&certificate, &key)), None).await, 0);
    assert!(flows(&server, &authority, None, None).await.is_err(), "a client without a certificate got in");
    let stranger = Keys::cut();
    let (certificate, key) = stranger.certificate();
    let strange = flows(&server, &authority, Some(Identity::from_pem(certificate, key)), None).await;
    assert!(strange.is_err(), "a client of another authority got in");
    server.stop().unwrap();
}
