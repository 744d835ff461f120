//! The smallest answer to the auth callout: everybody is a member with the given permissions.

use async_nats::Client;
use data_encoding::BASE64URL_NOPAD;
use futures::StreamExt as _;
use nkeys::KeyPair;
use rowcast_testkit::Nats;
use serde_json::{Value, json};

/// What a member may do.
pub(crate) struct Permissions {
    pub(crate) publish: Vec<String>,
    pub(crate) subscribe: Vec<String>,
}

/// Answers until the test ends.
pub(crate) async fn answer(nats: &Nats, permissions: Permissions) {
    let client: Client = nats.client("callout").await.unwrap();
    let issuer = KeyPair::from_seed(nats.callout_seed()).unwrap();
    let mut questions = client.subscribe("$SYS.REQ.USER.AUTH").await.unwrap();
    client.flush().await.unwrap();
    #[expect(clippy::disallowed_methods, reason = "a test has no supervised tasks")]
    tokio::spawn(async move {
        while let Some(question) = questions.next().await {
            let text = std::str::from_utf8(&question.payload).unwrap();
            let claims = text.split('.').nth(1).unwrap();
            let claims = BASE64URL_NOPAD.decode(claims.as_bytes()).unwrap();
            let asked: Value = serde_json::from_slice(&claims).unwrap();
            let answer = admit(&issuer, &asked["nats"], &permissions);
            let reply = question.reply.unwrap();
            client.publish(reply, answer.into()).await.unwrap();
        }
    });
}

fn admit(issuer: &KeyPair, asked: &Value, permissions: &Permissions) -> String {
    let user = json!({
        "aud": "CLIENTS",
        "sub": asked["user_nkey"],
        "name": asked["connect_opts"]["user"],
        "nats": {
            "type": "user",
            "version": 2,
            "pub": { "allow": permissions.publish },
            "sub": { "allow": permissions.subscribe },
            "subs": -1,
            "data": -1,
            "payload": -1,
        },
    });
    let answer = json!({
        "aud": asked["server_id"]["id"],
        "sub": asked["user_nkey"],
        "nats": {
            "type": "authorization_response",
            "version": 2,
            "jwt": sign(issuer, user),
        },
    });
    sign(issuer, answer)
}

fn sign(issuer: &KeyPair, mut claims: Value) -> String {
    claims["iss"] = issuer.public_key().into();
    claims["iat"] = 1.into();
    claims["jti"] = "test".into();
    let header = json!({ "typ": "JWT", "alg": "ed25519-nkey" });
    let encode = |part: &Value| BASE64URL_NOPAD.encode(part.to_string().as_bytes());
    let signed = format!("{}.{}", encode(&header), encode(&claims));
    let signature = issuer.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))
}
