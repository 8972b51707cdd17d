//! WebSocket APIs in tests: how they are created, and real handshakes with them.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};

use super::TestAws;
use super::http_api::{GOOD, account, api, id};

/// The route that each connection takes.
pub const CONNECT: &str = "$connect";

/// An API: whether it has the route `$connect`, and whether its stage deploys automatically.
pub type Kind = (bool, bool);
/// All of them.
pub const KINDS: [Kind; 4] = [(false, true), (false, false), (true, true), (true, false)];

/// An account with an API of this kind.
pub fn chat((has_connect, auto_deploy): Kind) -> TestAws {
    let mut routes = vec![json!({"key": "$default"}), json!({"key": "message"})];
    if has_connect {
        routes.push(json!({"key": CONNECT}));
    }
    account(&json!({
        "protocol": "WEBSOCKET", "name": "orders-api", "tags": {"owner": "orders"}, "routes": routes,
        "stages": [{"name": "prod", "auto_deploy": auto_deploy, "tags": {"owner": "orders"}}],
    }))
}

/// The status of a handshake with this key.
fn handshake(aws: &TestAws, key: Option<&str>) -> u16 {
    let address = aws.url();
    let address = address.strip_prefix("http://").expect("an address");
    let id = id(&aws.account());
    let key = key.map(|key| format!("apikey: {key}\r\n"));
    let key = key.unwrap_or_default();
    let mut stream = TcpStream::connect(address).expect("a connection");
    let request = format!(
        "GET /_aws/execute-api/{id}/prod HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{key}\r\n"
    );
    stream.write_all(request.as_bytes()).expect("it is sent");
    let mut status = [0; 12];
    stream.read_exact(&mut status).expect("a status line");
    let status = std::str::from_utf8(&status).expect("text");
    let (_, status) = status.split_once(' ').expect("a status");
    status.parse().expect("a number")
}

/// The statuses of handshakes without a key, with a wrong one, and with a valid one.
pub fn handshakes(aws: &TestAws) -> [u16; 3] {
    [None, Some("wrong-key-0123456789"), Some(GOOD)].map(|key| handshake(aws, key))
}

/// Every connection is accepted.
pub const OPEN: [u16; 3] = [101; 3];
/// The authorizer is asked.
pub const PROTECTED: [u16; 3] = [401, 403, 101];

/// The route `$connect` of the draft.
pub fn connect(account: &Value) -> Option<&Value> {
    let mut routes = api(account)["Routes"].as_array().expect("a list").iter();
    routes.find(|route| route["RouteKey"] == CONNECT)
}
